"""A whole training, from its options to the last model file."""

import os
import sys
from collections.abc import Mapping, Set
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from onmt.commandline.schema import declared_options
from onmt.commandline.values import options_from_dict, options_to_dict
from onmt.data.dataset import BatchPlan, SentenceSet, describe_dataset, plan_batches
from onmt.data.options import BitextOptions, MonotextOptions
from onmt.errors import CheckpointError, OptionError
from onmt.files import saved_models
from onmt.kernels.products import multiply_with
from onmt.logger import Logger, LoggerOptions
from onmt.models.loading import load_model
from onmt.runtime.device import products_of, select_devices
from onmt.runtime.processes import claimed
from onmt.training.checkpoints import Batching, Environment, ModelDescription, Saver, TrainingState
from onmt.training.data import EpochBatches, Epochs, StepBatches, StoredBatches, TrainingData, open_data
from onmt.training.distributed import Replicas, join_torchrun, run_in_processes, torchrun_rank
from onmt.training.evaluation import (
    Evaluator,
    Evaluators,
    LossEvaluator,
    TranslationEvaluator,
    TranslationFiles,
)
from onmt.training.optim import Optimizer
from onmt.training.options import AnyTrainOptions, choose_options
from onmt.training.progress import MetricsFile, Phases, Progress, TensorBoard
from onmt.training.recipe import make_optimizer, make_recipe
from onmt.training.sampling import make_sampler
from onmt.training.starting_point import StartingPoint, new_model, new_state, read_run, stored_model
from onmt.training.trainer import Trainer

_KINDS: Final = {
    "seq2seq": "Sequence to Sequence with Attention",
    "lm": "Language",
    "seqtagger": "Sequence Tagger",
}
_IDLE: Final[Mapping[tuple[str, ...], str]] = {
    ("async_parallel", "async_parallel_minbatch"): "several GPUs always train synchronously",
    ("disable_mem_optimization",): "PyTorch shares the memory of time steps by itself",
    ("exp_host", "exp_port"): "-exp writes files for TensorBoard",
}


def train(options: AnyTrainOptions, given: frozenset[str], logger: Logger) -> None:
    """Train as the options say; `given` are the flags that the user set.

    Raises OnmtError for whatever a user can cause; Interrupted, with a checkpoint written, after Ctrl-C.
    """
    logger.outlives_stream()
    torchrun = torchrun_rank(os.environ)
    if torchrun is not None and torchrun[0] > 0:
        _train(options, given, logger)
        return
    with claimed(options.save_model, "-save_model"):
        _warn_of_earlier_models(options, logger)
        _train(options, given, logger)


def _train(options: AnyTrainOptions, given: frozenset[str], logger: Logger) -> None:
    devices = tuple(select_devices(options, logger))
    words = {"model_type": options.model_type, "hook_file": options.hook_file}
    work = partial(_train_in_process, words, options_to_dict(options), given)
    torchrun = torchrun_rank(os.environ)
    if torchrun is not None:
        join_torchrun(work, devices, *torchrun, use_nccl=not options.no_nccl)
    elif len(devices) > 1:
        logger.info(f"Training on {len(devices)} devices...")
        run_in_processes(work, devices, use_nccl=not options.no_nccl)
    else:
        _train_replica(options, given, Replicas(), devices[0], logger)


def _train_replica(
    options: AnyTrainOptions, given: Set[str], replicas: Replicas, device: torch.device, logger: Logger
) -> None:
    """All of a training, or one replica's part in it."""
    _warn_of_idle_options(options, given, logger)
    logger.info(f"Training {_KINDS[options.model_type]} model...")
    run = read_run(options, given, logger) if options.train_from else None
    if run is not None:
        options = run.options
    recipe = make_recipe(options)
    state = new_state(options) if run is None else run.state
    data = open_data(options, None if run is None else run.known_vocabularies, logger)
    epochs = _epochs(options, state, data, device, replicas, logger)
    first = epochs.start(state.epoch)
    for line in describe_dataset(first.sentences, data.vocabularies, first.batches.plan):
        logger.info(line)
    start = new_model(recipe, data, state, logger) if run is None else stored_model(run, recipe, data, logger)
    trainer = _make_trainer(start, data, epochs, device, replicas, logger)
    with closing(trainer.progress):
        _announce(trainer, logger)
        trainer.train()


def _train_in_process(
    words: Mapping[str, str],
    values: Mapping[str, Any],
    given: frozenset[str],
    replicas: Replicas,
    device: torch.device,
) -> None:
    """One replica's part, from what any options become on their way to a process: a hook's class of options
    cannot be sent."""
    _train_one_of_several(options_from_dict(choose_options(words), values), given, replicas, device)


def _train_one_of_several(
    options: AnyTrainOptions, given: frozenset[str], replicas: Replicas, device: torch.device
) -> None:
    """One replica's part; only the first one logs."""
    silent = replace(LoggerOptions(), disable_logs=True)
    with Logger(options if replicas.is_first else silent, sys.stdout) as logger:
        logger.outlives_stream()
        select_devices(options, logger)  # -precision is a setting of each process
        _train_replica(options, given, replicas, device, logger)


def _make_trainer(
    start: StartingPoint,
    data: TrainingData,
    epochs: Epochs,
    device: torch.device,
    replicas: Replicas,
    logger: Logger,
) -> Trainer:
    """The trainer with all its parts, on `device`."""
    recipe, state = start.recipe, start.state
    options = recipe.options
    model = start.model.to(device)
    products = products_of(options, device, logger)
    multiply_with(model, products)
    optimizer = make_optimizer(recipe, model)
    first = epochs.start(state.epoch)
    if epochs.vary and state.iteration == 1 and state.batching is not None:
        # It was written after another epoch, which may have had more or fewer of them.
        state.batching = replace(state.batching, iterations=first.batches.iterations)
    iterations = first.batches.iterations
    options = replace(options, end_epoch=options.last_epoch(options.end_epoch, iterations))
    batching = _batching(options, replicas, iterations)
    _take_up(state, optimizer, batching, Environment.current(device, products), logger)
    if data.valid is None and (options.early_stopping or options.keep_best):
        raise OptionError("-early_stopping and -keep_best compare validations: give validation data")
    return Trainer(
        model=model,
        optimizer=optimizer,
        epochs=epochs,
        evaluator=_evaluator(start, data, device),
        recipe=replace(recipe, options=options),
        state=state,
        saver=_saver(options, start, data, logger),
        progress=_progress(options, state, optimizer, device, replicas, logger),
        replicas=replicas,
    )


def _saver(options: AnyTrainOptions, start: StartingPoint, data: TrainingData, logger: Logger) -> Saver:
    description = ModelDescription(
        data_type=data.data_type,
        spec=start.model.spec.to_state(),
        options=options_to_dict(options),
        vocabularies=start.vocabularies.to_state(),
    )
    keep = options.keep_checkpoints or options.keep_checkpoint_max
    return Saver(options.save_model, keep, options.keep_best, description, start.model, logger)


def _progress(
    options: AnyTrainOptions,
    state: TrainingState,
    optimizer: Optimizer,
    device: torch.device,
    replicas: Replicas,
    logger: Logger,
) -> Progress:
    """The first replica records curves and metrics."""
    curves = TensorBoard(options.exp, options.save_model) if options.exp and replicas.is_first else None
    metrics = None
    if options.save_metrics and replicas.is_first:
        metrics = MetricsFile(options.save_model, logger)
        # The report of the last iteration may be still to come.
        metrics.start(state.epoch, state.iteration - (state.unreported is not None))
    return Progress(logger, replicas, optimizer.name, curves, metrics, Phases(options.profiler, device))


def _epochs(
    options: AnyTrainOptions,
    state: TrainingState,
    data: TrainingData,
    device: torch.device,
    replicas: Replicas,
    logger: Logger,
) -> Epochs:
    def batches(sentences: SentenceSet) -> EpochBatches | StepBatches:
        plan = _plan(sentences, options)
        passes = EpochBatches(
            sentences, plan, options.curriculum, options.accum_count, options.seed, replicas, device
        )
        if not options.counts_steps:
            return passes
        return StepBatches(passes, options.eval_every_n_steps or passes.iterations, options.train_steps)

    return Epochs(
        data=data.train,
        resampled=data.resampled,
        sampler=make_sampler(options, options.seed, replicas, logger, state.sampler)
        if options.sample
        else None,
        batches=batches,
        restricted=options.sample_vocab,
        logger=logger,
        device=device,
    )


def _plan(dataset: SentenceSet, options: AnyTrainOptions) -> BatchPlan:
    most = options.max_batch_size or len(dataset)
    return plan_batches(dataset.src_lengths, most, options.max_tokens, options.uneven_batches)


def _evaluator(start: StartingPoint, data: TrainingData, device: torch.device) -> Evaluator | None:
    if data.valid is None:
        return None
    options = start.recipe.options
    plan = _plan(data.valid, options)
    metrics = tuple(dict.fromkeys((options.validation_metric, *options.log_metrics)))
    losses = [metric for metric in metrics if metric in ("perplexity", "loss")]
    others = [metric for metric in metrics if metric not in losses]
    evaluators: list[Evaluator] = []
    if losses:
        evaluators.append(LossEvaluator(StoredBatches(data.valid, plan, device), losses))
    if others:
        batches = StoredBatches(data.valid, plan, torch.device("cpu"))  # read back into words there
        language_model = load_model(options.lm_model, device) if options.lm_model else None
        files = TranslationFiles(options.save_model, options.save_validation_translation_every)
        vocabularies = start.vocabularies
        evaluators.append(
            TranslationEvaluator(
                others, batches, vocabularies, options, language_model, files, options.metrics_postprocess
            )
        )
    # The metric that decides comes first.
    return Evaluators(evaluators if options.validation_metric in losses else evaluators[::-1])


def _batching(options: AnyTrainOptions, replicas: Replicas, iterations: int) -> Batching:
    return Batching(
        max_batch_size=options.max_batch_size,
        max_tokens=options.max_tokens,
        uneven_batches=options.uneven_batches,
        replicas=replicas.size,
        accum_count=options.accum_count,
        iterations=iterations,
    )


def _take_up(
    state: TrainingState, optimizer: Optimizer, batching: Batching, environment: Environment, logger: Logger
) -> None:
    """Give the optimiser its state back, and tell what keeps this run from repeating the stored one."""
    if state.optimizer is not None:
        optimizer.load_state(state.optimizer)
    if state.batching is not None and state.batching != batching:
        logger.warning(
            "the batches are not those of the checkpoint's training: "
            + ", ".join(batching.differences(state.batching))
        )
    if state.environment is not None and state.environment != environment:
        logger.warning(
            "the checkpoint comes from another environment, so results may differ in the last digits: "
            + ", ".join(environment.differences(state.environment))
        )
    if state.iteration > batching.iterations + 1:
        raise CheckpointError(
            f"training cannot go on at iteration {state.iteration}: an epoch of this data has "
            f"{batching.iterations}"
        )
    state.batching, state.environment = batching, environment


def _announce(trainer: Trainer, logger: Logger) -> None:
    first, last = trainer.state.epoch, trainer.options.end_epoch
    if last == 0:
        logger.info(f"Start training from epoch {first} and indefinitely...")
    elif first > last:
        logger.warning(f"Nothing to train: epoch {first} is next, and -end_epoch is {last}")
    else:
        logger.info(f"Start training from epoch {first} to {last}...")


def _warn_of_earlier_models(options: AnyTrainOptions, logger: Logger) -> None:
    if options.continue_:
        return
    best = Path(f"{options.save_model}_best.pt")
    earlier = saved_models(options.save_model) + ([best] if best.is_file() else [])
    if earlier:
        others = f" and {len(earlier) - 1} more" if len(earlier) > 1 else ""
        logger.warning(
            f"'{earlier[0]}'{others} of an earlier training: models of the same name will be replaced, the "
            "others stay"
        )


def _warn_of_idle_options(options: AnyTrainOptions, given: Set[str], logger: Logger) -> None:
    """Flags that have nothing to act on, any more or beside prepared data."""
    text_options = MonotextOptions if isinstance(options, MonotextOptions) else BitextOptions
    of_text = {option.flag for option in declared_options(text_options)}
    if options.data and given & of_text:
        names = ", ".join(f"-{flag}" for flag in sorted(given & of_text))
        logger.warning(f"these options have no effect on prepared data (-data): {names}")
    for flags, reason in _IDLE.items():
        idle = [flag for flag in flags if flag in given]
        if idle:
            logger.warning(f"-{idle[0]} has no effect: {reason}")
