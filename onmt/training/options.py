"""Options of training itself: the loop, the optimiser, saving. Torch-free."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from onmt.commandline.declare import at_least, between, existing_checkpoint_or_empty, not_empty, option
from onmt.commandline.schema import declared_options
from onmt.commandline.script import Implied
from onmt.data.options import BitextOptions, MonotextOptions
from onmt.decoding.options import TranslatorOptions
from onmt.errors import OptionError
from onmt.google.flags import flags_from_settings
from onmt.google.options import GoogleModelOptions, GoogleTrainingOptions, StepOptions
from onmt.hooks import HookOptions, hooked_options
from onmt.logger import LoggerOptions
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions
from onmt.runtime.options import DeviceOptions
from onmt.training.data_options import TrainingDataOptions
from onmt.training.regularisation_options import (
    AccumulationOptions,
    CoverageOptions,
    RegularisationOptions,
    SharedTableOptions,
    StoppingOptions,
)

Metric = Literal["perplexity", "loss", "bleu", "ter", "dlratio"]
Postprocess = Literal["none", "strip_bpe", "decode_sentencepiece"]


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """Trainer"""

    save_every: int = option(
        5000,
        "Write `<save_model>_checkpoint.pt` every this many iterations of an epoch, or of the whole training "
        "where `-train_steps` or `-eval_every_n_steps` counts them; 0: never.",
        valid=at_least(0),
    )
    save_every_epochs: int = option(
        1,
        "Keep a model every this many epochs; 0: of the last epoch only. The last epoch is always kept.",
        valid=at_least(0),
    )
    keep_checkpoint_max: int = option(
        0,
        "Number of models of epochs to keep; older ones that this training wrote are removed. 0: keep all.",
        valid=at_least(0),
    )
    cuda_graphs: bool = option(
        False,
        "On a GPU: capture the forward and backward pass of each shape of batch as a CUDA graph when it "
        "comes a second time, and replay it from then on.",
    )
    report_every: int = option(50, "Log the progress every this many iterations.", valid=at_least(1))
    async_parallel: bool = option(
        False,
        "Accepted for compatibility; logs a warning and does nothing: several GPUs always train in step.",
    )
    async_parallel_minbatch: int = option(
        1000, "Accepted for compatibility, as `-async_parallel`.", valid=at_least(0)
    )
    start_iteration: int = option(
        1, "Iteration to start at, in the first epoch only (counted from 1).", valid=at_least(1)
    )
    start_epoch: int = option(1, "Epoch to start at, counted from 1.", valid=at_least(1))
    end_epoch: int = option(13, "Last epoch to train; 0: go on until interrupted.", valid=at_least(0))
    curriculum: int = option(
        0,
        "For this many epochs take the batches in stored order (shortest first, if the data is sorted) "
        "instead of a random one.",
        valid=at_least(0),
        train_state=True,
    )
    validation_metric: Metric = option(  # noqa: RUF009 - ruff does not see through the alias
        "perplexity",
        "What is measured on the validation data after each epoch; decay rules and file names use it.",
    )
    log_metrics: tuple[
        Literal["perplexity", "loss", "bleu", "ter", "dlratio", "rouge_1", "rouge_2", "rouge_l"], ...
    ] = option(
        (),
        "Metrics that are measured and logged after each epoch beside `-validation_metric`. `rouge_*` are "
        "mean F1 scores.",
    )
    metrics_postprocess: Postprocess = option(  # noqa: RUF009 - as above
        "none",
        "Join subwords before translations are compared with references: those of subword-nmt (`sub@@ word`) "
        "or of SentencePiece (`\u2581wo rd`).",
    )
    save_validation_translation_every: int = option(
        0,
        "With a metric that translates (`bleu`, `ter`, `dlratio`): every this many epochs write "
        "`<save_model>_epoch<E>_validation_translation.txt`, a line `score ||| prediction ||| reference` per "
        "sentence; 0: never.",
        valid=at_least(0),
    )
    update_vocab: Literal["none", "replace", "merge"] = option(
        "none",
        "With `-train_from`, take the vocabularies of the data: `replace` drops words that the data "
        "lacks, `merge` keeps them after the new ones. Words known before keep their parameters, new ones "
        "start at zero.",
    )


@dataclass(frozen=True, kw_only=True)
class OptimOptions:
    """Optimization"""

    max_batch_size: int = option(
        160, "Most sentences in a batch; 0: no limit but that of `-max_tokens`.", valid=at_least(0)
    )
    max_tokens: int = option(1800, "Most source tokens in a batch, padding not counted.", valid=at_least(0))
    uneven_batches: bool = option(
        False,
        "Let a batch hold source sentences of different lengths. By default all of a batch have the same "
        "length, so nothing is spent on source padding.",
    )
    optim: Literal["sgd", "adagrad", "adadelta", "adam"] = option(
        "sgd", "How gradients become updates.", train_state=True
    )
    learning_rate: float = option(
        1.0,
        "Learning rate at the start; `adadelta` takes none. Usual: 1 for `sgd`, 0.1 for `adagrad`, 0.0002 "
        "for `adam`.",
        train_state=True,
        valid=between(-1e37, 1e37),
    )
    min_learning_rate: float = option(
        0.0,
        "Stop, with the model saved, after the epoch that makes the learning rate smaller than this.",
        train_state=True,
    )
    max_grad_norm: float = option(
        5.0,
        "Scale the gradient of all parameters together down to this L2 norm where it is longer; 0: never.",
        train_state=True,
    )
    learning_rate_decay: float = option(
        0.7, "Factor of the learning rate at each decay (`sgd` and `adam` only).", train_state=True
    )
    start_decay_at: int = option(
        9,
        "Decay after this epoch and every later one (`-decay default` and `epoch_only`).",
        valid=at_least(0),
        train_state=True,
    )
    start_decay_score_delta: float = option(
        0.0,
        "Decay when the validation score is not better than the last one by this much (`-decay default`, "
        "from then on after every epoch, and `score_only`).",
        train_state=True,
    )
    decay: Literal["default", "epoch_only", "score_only"] = option(
        "default",
        "When to decay: by `-start_decay_at`, by `-start_decay_score_delta`, or by whichever comes first.",
        train_state=True,
    )
    decay_method: Literal["default", "restart"] = option(
        "default", "`restart` also clears what the optimiser has gathered at each decay.", train_state=True
    )


_NAME_MAX: Final = 255
_LONGEST_ENDING: Final = len("_epoch123456_validation_translation.txt")


@dataclass(frozen=True, kw_only=True)
class SaverOptions:
    """Saver"""

    save_model: str = option(
        "",
        "Models are named `<save_model>_epoch<E>_<score>.pt` and `<save_model>_checkpoint.pt`.",
        valid=not_empty,
        required=True,
        writes=("{}_checkpoint.pt", "{}_best.pt", "{}_metrics.jsonl", "{}_epoch*"),
        replaces=("train_from",),
    )
    save_metrics: bool = option(
        True,
        "Write every report and validation to `<save_model>_metrics.jsonl`, a JSON object per line, which "
        "tools/plot_training.py draws.",
    )
    train_from: str = option(
        "",
        "Start from this model (`.pt`, or `.t7` of OpenNMT Lua) instead of random parameters. A folder, or "
        "the `-save_model` of a training, stands for the newest model there that is whole.",
        valid=existing_checkpoint_or_empty,
    )
    continue_: bool = option(
        False,
        "With `-train_from`, go on with that training: its epoch, iteration, learning rate, optimiser "
        "state and training options.",
        flag="continue",
    )

    def check(self) -> None:
        """Fail early if no model can be written: the first one may come hours later."""
        folder = os.path.dirname(self.save_model) or "."
        if not os.path.isdir(folder):
            raise OptionError(f"-save_model {self.save_model}: there is no folder '{folder}'")
        if not os.access(folder, os.W_OK):
            raise OptionError(
                f"-save_model {self.save_model}: nothing can be written to the folder '{folder}'"
            )
        longest = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else _NAME_MAX
        name = os.path.basename(self.save_model).encode("utf-8", "surrogateescape")
        if len(name) + _LONGEST_ENDING > longest:
            raise OptionError(
                f"-save_model: the name is {len(name)} bytes long; as models' names go on after it, it may "
                f"have {longest - _LONGEST_ENDING}"
            )


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """Experiment"""

    exp: str = option(
        "",
        "Name of this experiment: every report is also written for TensorBoard to `<folder of "
        "-save_model>/runs/<exp>`. Needs the extra `plot`.",
    )
    exp_host: str = option(
        "127.0.0.1", "Accepted for compatibility; logs a warning and does nothing: TensorBoard reads files."
    )
    exp_port: str = option(
        "8889", "Accepted for compatibility; logs a warning and does nothing: TensorBoard reads files."
    )


@dataclass(frozen=True, kw_only=True)
class MemoryOptions:
    """Memory"""

    disable_mem_optimization: bool = option(
        False, "Accepted for compatibility; logs a warning and does nothing: PyTorch shares memory by itself."
    )


@dataclass(frozen=True, kw_only=True)
class ProfilerOptions:
    """Profiler"""

    profiler: bool = option(
        False,
        "Log after each epoch where the time went: data, forward, backward, update, validation, saving.",
    )


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """Other"""

    seed: int = option(3435, "Start of every random draw.", valid=at_least(0))


@dataclass(frozen=True, kw_only=True)
class LoopOptions(
    TrainerOptions,
    StepOptions,
    OptimOptions,
    AccumulationOptions,
    RegularisationOptions,
    StoppingOptions,
    SeedOptions,
):
    """Everything the training loop asks for"""


@dataclass(frozen=True, kw_only=True)
class TrainOptions(
    TrainingDataOptions,
    HookOptions,
    LoopOptions,
    GoogleModelOptions,
    GoogleTrainingOptions,
    SaverOptions,
    TranslatorOptions,
    ExperimentOptions,
    MemoryOptions,
    ProfilerOptions,
    DeviceOptions,
    LoggerOptions,
):
    """Train"""

    def check(self) -> None:
        """Options that are needed, or only mean something together."""
        if self.continue_ and not self.train_from:
            raise OptionError("-continue needs -train_from: the checkpoint to go on from")
        if self.update_vocab != "none" and not self.train_from:
            raise OptionError("-update_vocab needs -train_from: the model whose vocabularies change")
        if self.cuda_graphs and not self.wants_gpu:
            raise OptionError("-cuda_graphs needs a GPU: choose one with -gpuid")
        if self.cuda_graphs and self.accum_count > 1:
            raise OptionError("-cuda_graphs does not go with -accum_count: a graph overwrites its gradients")
        if not self.continue_:  # else the checkpoint may say more
            self.check_steps_of_samples()

    def check_steps_of_samples(self) -> None:
        """Raise OptionError if steps are counted in passes that differ in length."""
        if (self.sample or self.gsample) and self.train_steps and not self.eval_every_n_steps:
            raise OptionError(
                "-train_steps with samples needs -eval_every_n_steps: passes over them differ in length"
            )


@dataclass(frozen=True, kw_only=True)
class TrainSeq2SeqOptions(
    TrainOptions, BitextOptions, CoverageOptions, SharedTableOptions, Seq2SeqModelOptions
):
    """Train"""


@dataclass(frozen=True, kw_only=True)
class _WithoutTranslation(TrainOptions):
    """Train"""

    def check(self) -> None:
        """There is nothing to translate."""
        for metric in (self.validation_metric, *self.log_metrics):
            if metric not in ("perplexity", "loss"):
                flag = "-validation_metric" if metric == self.validation_metric else "-log_metrics"
                raise OptionError(f"{flag} {metric} compares translations: it needs -model_type seq2seq")


@dataclass(frozen=True, kw_only=True)
class TrainLanguageModelOptions(_WithoutTranslation, MonotextOptions, LanguageModelOptions):
    """Train"""


@dataclass(frozen=True, kw_only=True)
class TrainTaggerOptions(_WithoutTranslation, BitextOptions, TaggerOptions):
    """Train"""

    def check(self) -> None:
        """Combinations that a tagger has no use for."""
        if self.sample_vocab:
            raise OptionError("-sample_vocab works with -model_type seq2seq and lm only")
        if self.label_smoothing and self.loglikelihood == "sentence":
            raise OptionError(
                "-label_smoothing goes with -loglikelihood word, not with whole sequences of tags"
            )


AnyTrainOptions = TrainSeq2SeqOptions | TrainLanguageModelOptions | TrainTaggerOptions
"""The options of train.py by `-model_type`."""

_BY_MODEL_TYPE: Final[Mapping[str, type[AnyTrainOptions]]] = {
    "seq2seq": TrainSeq2SeqOptions,
    "lm": TrainLanguageModelOptions,
    "seqtagger": TrainTaggerOptions,
}


def choose_options(words: Mapping[str, str]) -> type[AnyTrainOptions]:
    """The options for a `-model_type`, and what a `-hook_file` adds to them. Raises OptionError."""
    return hooked_options(_BY_MODEL_TYPE.get(words.get("model_type", ""), TrainSeq2SeqOptions), words)


_OF_BOTH_DIALECTS: Final = ("pre_word_vecs_", "fix_word_vecs_", "scheduled_sampling")
"""Prefixes of flags that describe models of both dialects."""


def describing_flags() -> tuple[str, ...]:
    """The flags that describe a model, its loss or its schedule."""
    model = [option.flag for option in declared_options(Seq2SeqModelOptions)]
    training = [option.flag for option in declared_options(OptimOptions) if option.info.train_state]
    return tuple(flag for flag in (*model, *training) if flag != "model_type")


def flags_of_lua_models() -> tuple[str, ...]:
    """Those of `describing_flags` that mean nothing beside `-model`."""
    return tuple(flag for flag in describing_flags() if not flag.startswith(_OF_BOTH_DIALECTS))


def implied_flags(given: Mapping[str, Any]) -> Implied:
    """The flags that follow from a google/seq2seq model's settings, see `flags_from_settings`."""
    return flags_from_settings(given, flags_of_lua_models())
