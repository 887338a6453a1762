"""A whole training, from its options to its last model file."""

import os
import sys
from collections.abc import Mapping, Set
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from onmt.commandline.schema import flags_of
from onmt.commandline.values import options_from_dict, options_to_dict
from onmt.data.dataset import describe_dataset
from onmt.data.options import BitextOptions, MonotextOptions
from onmt.errors import CheckpointError, OptionError
from onmt.files import saved_models
from onmt.kernels.products import multiply_with
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.device import products_of, select_devices
from onmt.runtime.processes import claimed
from onmt.training.checkpoints import Batching, Environment, ModelDescription, Saver, TrainingState
from onmt.training.data import Epoch, Epochs, TrainingData
from onmt.training.distributed import Replicas, Torchrun, run_in_processes
from onmt.training.evaluation import Evaluator
from onmt.training.optim import Optimizer
from onmt.training.options import AnyTrainOptions, choose_options
from onmt.training.progress import MetricsFile, Phases, Progress, TensorBoard
from onmt.training.recipe import Recipe
from onmt.training.starting_point import StartingPoint, StoredRun
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
    """Train as the options say; `given`: the flags that the user set.

    Raises OnmtError for errors that a user can cause; Interrupted, after saving a checkpoint, for Ctrl-C.
    """
    logger.outlives_stream()
    torchrun = Torchrun.found(os.environ)
    if torchrun is not None and torchrun.rank > 0:
        _train(options, given, logger)
        return
    with claimed(options.save_model, "-save_model"):
        _warn_of_earlier_models(options, logger)
        _train(options, given, logger)


def _train(options: AnyTrainOptions, given: frozenset[str], logger: Logger) -> None:
    devices = tuple(select_devices(options, logger))
    selectors = {"model_type": options.model_type, "hook_file": options.hook_file}
    work = partial(_train_in_process, selectors, options_to_dict(options), given)
    torchrun = Torchrun.found(os.environ)
    if torchrun is not None:
        torchrun.run(work, devices, use_nccl=not options.no_nccl)
    elif len(devices) > 1:
        logger.info(f"Training on {len(devices)} devices...")
        run_in_processes(work, devices, use_nccl=not options.no_nccl)
    else:
        _train_replica(options, given, Replicas(), devices[0], logger)


def _train_replica(
    options: AnyTrainOptions, given: Set[str], replicas: Replicas, device: torch.device, logger: Logger
) -> None:
    """Run a whole training, or one replica's part of it."""
    _warn_of_idle_options(options, given, logger)
    logger.info(f"Training {_KINDS[options.model_type]} model...")
    run = StoredRun.read(options, given, logger) if options.train_from else None
    if run is not None:
        options = run.options
    recipe = Recipe.of(options)
    state = TrainingState.new(options) if run is None else run.state
    data = TrainingData.open(options, None if run is None else run.known_vocabularies, logger)
    epochs = Epochs(options, data, state.sampler, replicas, device, logger)
    first = epochs.load(state.epoch)
    for line in describe_dataset(first.sentences, data.vocabularies, first.batches.plan):
        logger.info(line)
    if run is None:
        start = StartingPoint.new(recipe, data, state, logger)
    else:
        start = run.starting_point(recipe, data, logger)
    trainer = _make_trainer(start, data, epochs, first, device, replicas, logger)
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
    """Run one replica's part. Options arrive as plain values, since a class that a hook extends cannot be
    pickled."""
    _train_one_of_several(options_from_dict(choose_options(words), values), given, replicas, device)


def _train_one_of_several(
    options: AnyTrainOptions, given: frozenset[str], replicas: Replicas, device: torch.device
) -> None:
    """Run one replica's part; only the first one logs."""
    silent = replace(LoggerOptions(), disable_logs=True)
    with Logger(options if replicas.is_first else silent, sys.stdout) as logger:
        logger.outlives_stream()
        select_devices(options, logger)  # -precision is a setting of each process
        _train_replica(options, given, replicas, device, logger)


def _make_trainer(
    start: StartingPoint,
    data: TrainingData,
    epochs: Epochs,
    first: Epoch,
    device: torch.device,
    replicas: Replicas,
    logger: Logger,
) -> Trainer:
    """Make the trainer and its parts, on `device`. first: the epoch at which it begins."""
    recipe, state = start.recipe, start.state
    options = recipe.options
    model = start.model.to(device)
    products = products_of(options, device, logger)
    multiply_with(model, products)
    optimizer = recipe.optimizer(model)
    if epochs.vary and state.iteration == 1 and state.batching is not None:
        # The state was saved after another epoch, which may have had another number of iterations.
        state.batching = replace(state.batching, iterations=first.batches.iterations)
    iterations = first.batches.iterations
    options = replace(options, end_epoch=options.last_epoch(options.end_epoch, iterations))
    batching = _batching(options, replicas, iterations)
    _restore_optimizer(state, optimizer, batching, Environment.current(device, products), logger)
    valid = data.valid
    if valid is None and (options.early_stopping or options.keep_best):
        raise OptionError("-early_stopping and -keep_best compare validations: give validation data")
    return Trainer(
        model=model,
        optimizer=optimizer,
        epochs=epochs,
        evaluator=None if valid is None else Evaluator(options, valid, start.vocabularies, device),
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
    """Make the progress; only the first replica records curves and metrics."""
    curves = TensorBoard(options.exp, options.save_model) if options.exp and replicas.is_first else None
    metrics = None
    if options.save_metrics and replicas.is_first:
        metrics = MetricsFile(options.save_model, logger)
        # The last iteration may not be reported yet.
        metrics.start(state.epoch, state.iteration - (state.unreported is not None))
    return Progress(logger, replicas, optimizer.name, curves, metrics, Phases(options.profiler, device))


def _batching(options: AnyTrainOptions, replicas: Replicas, iterations: int) -> Batching:
    return Batching(
        max_batch_size=options.max_batch_size,
        max_tokens=options.max_tokens,
        uneven_batches=options.uneven_batches,
        replicas=replicas.size,
        accum_count=options.accum_count,
        iterations=iterations,
    )


def _restore_optimizer(
    state: TrainingState, optimizer: Optimizer, batching: Batching, environment: Environment, logger: Logger
) -> None:
    """Restore the optimiser, and warn of every difference that keeps this run from repeating the stored one.

    Raises CheckpointError if the stored position lies behind the end of an epoch of this data.
    """
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
    """Warn of flags without effect: corpus options beside `-data`, and options of the original that do
    nothing.
    """
    text_options = MonotextOptions if isinstance(options, MonotextOptions) else BitextOptions
    of_text = flags_of(text_options)
    if options.data and given & of_text:
        names = ", ".join(f"-{flag}" for flag in sorted(given & of_text))
        logger.warning(f"these options have no effect on prepared data (-data): {names}")
    for flags, reason in _IDLE.items():
        idle = [flag for flag in flags if flag in given]
        if idle:
            logger.warning(f"-{idle[0]} has no effect: {reason}")
