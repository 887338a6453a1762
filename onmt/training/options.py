"""Options of train.py: its data, what it saves, and the set for each type of model. Torch-free."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from onmt.commandline.declare import at_least, existing_checkpoint_or_empty, not_empty, option
from onmt.commandline.schema import declared_options, flags_of
from onmt.commandline.script import Implied
from onmt.data.options import BitextOptions, DataOptions, MonotextOptions, prepared_data_or_empty
from onmt.decoding.options import TranslatorOptions
from onmt.errors import OptionError
from onmt.google.flags import flags_from_settings
from onmt.google.options import GoogleModelOptions, GoogleTrainingOptions
from onmt.google.settings import TRANSLATED_FLAGS
from onmt.hooks import HookOptions, hooked_options
from onmt.logger import LoggerOptions
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions
from onmt.runtime.options import DeviceOptions
from onmt.training.trainer_options import (
    AccumulationOptions,
    CoverageOptions,
    OptimOptions,
    RegularisationOptions,
    SharedTableOptions,
    StepOptions,
    StoppingOptions,
    TrainerOptions,
)


@dataclass(frozen=True, kw_only=True)
class _PreparedDataOptions:
    """Data"""

    data: str = option(
        "",
        "Data prepared by preprocess.py: its `-save_data`, or the file name of the manifest. Without it, "
        "training reads text files, named as for preprocess.py.",
        valid=prepared_data_or_empty,
        reads=("{}", "{}-train.json", "{}-*.bin"),
    )


@dataclass(frozen=True, kw_only=True)
class SampledDatasetOptions:
    """Sampled dataset"""

    sample: int = option(
        0, "Number of sentences to draw for each epoch; 0: train on all of them.", valid=at_least(0)
    )
    sample_type: Literal["uniform", "perplexity", "partition"] = option(
        "uniform",
        "How -sample draws. `uniform`: uniformly, with replacement. `perplexity`: with replacement, in "
        "proportion to the perplexity that a sentence had in training. `partition`: every n-th sentence, so "
        "that each sentence is seen once before any is repeated.",
    )
    sample_perplexity_init: float = option(
        15.0,
        "With `-sample_type perplexity`: perplexity of a sentence before it is trained on. Sentences are "
        "drawn uniformly until the mean perplexity is below this.",
    )
    sample_perplexity_max: float = option(
        -1.5,
        "With `-sample_type perplexity`: sentences of a higher perplexity are considered noise and have "
        "weight 1. A negative number -x means the most frequent perplexity plus x standard deviations, "
        "computed from the perplexities above it.",
    )


@dataclass(frozen=True, kw_only=True)
class _SampledVocabularyOptions:
    """Sampled vocabulary"""

    sample_tgt_vocab: bool = option(False, "Use `-sample_vocab`.", deprecated=("sample_vocab", True))
    sample_vocab: bool = option(
        False,
        "With -sample or -gsample: predict only words that occur in the sentences of the epoch during "
        "training. Faster with a large vocabulary; validation uses all words.",
    )


@dataclass(frozen=True, kw_only=True)
class _TrainingDataOptions(
    _PreparedDataOptions, SampledDatasetOptions, _SampledVocabularyOptions, DataOptions
):
    """Data"""

    def check(self) -> None:
        """Require either prepared data or text files, and sampling options that fit them."""
        files = self.files()
        if self.data and files:
            raise OptionError(f"-data and -{files[0]} exclude each other: prepared data or text files")
        if not self.data and not files:
            raise OptionError(
                "-data is missing: name the data that preprocess.py prepared, or the text files of each side "
                "(-train_src and -train_tgt, -train for a language model, or -train_dir)"
            )
        if not self.data:
            self.check_files()
        elif self.gsample:
            raise OptionError("-gsample draws from text files: with prepared data use -sample")
        if self.sample and self.gsample:
            raise OptionError("-sample and -gsample exclude each other")
        if self.sample_vocab and not (self.sample or self.gsample):
            raise OptionError(
                "-sample_vocab needs -sample or -gsample: it restricts the output to the sample's words"
            )


_NAME_MAX: Final = 255
_LONGEST_ENDING: Final = len("_epoch123456_validation_translation.txt")


@dataclass(frozen=True, kw_only=True)
class SaverOptions:
    """Saver"""

    save_model: str = option(
        "",
        "Prefix of the models to write: `<save_model>_epoch<E>_<score>.pt` and `<save_model>_checkpoint.pt`.",
        valid=not_empty,
        required=True,
        writes=("{}_checkpoint.pt", "{}_best.pt", "{}_metrics.jsonl", "{}_epoch*"),
        replaces=("train_from",),
    )
    save_metrics: bool = option(
        True,
        "Write every report and validation to `<save_model>_metrics.jsonl`, one JSON object per line, for "
        "tools/plot_training.py.",
    )
    train_from: str = option(
        "",
        "Start from this model (`.pt`, or `.t7` of OpenNMT Lua) instead of random parameters. A folder, or "
        "the `-save_model` of a training, stands for its newest intact model.",
        valid=existing_checkpoint_or_empty,
    )
    continue_: bool = option(
        False,
        "With `-train_from`: continue that training, with its epoch, iteration, learning rate, optimiser "
        "state and training options.",
        flag="continue",
    )

    def check(self) -> None:
        """Fail early if no model can be written: the first checkpoint may come hours later."""
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
                f"-save_model: the name is {len(name)} bytes long; with the endings of model names, at most "
                f"{longest - _LONGEST_ENDING} are possible"
            )


@dataclass(frozen=True, kw_only=True)
class _ExperimentOptions:
    """Experiment"""

    exp: str = option(
        "",
        "Name of the experiment: every report is also written to `<folder of -save_model>/runs/<exp>`, for "
        "TensorBoard. Needs the extra `plot`.",
    )
    exp_host: str = option(
        "127.0.0.1", "Accepted for compatibility; logs a warning and does nothing: TensorBoard reads files."
    )
    exp_port: str = option(
        "8889", "Accepted for compatibility; logs a warning and does nothing: TensorBoard reads files."
    )


@dataclass(frozen=True, kw_only=True)
class _MemoryOptions:
    """Memory"""

    disable_mem_optimization: bool = option(
        False, "Accepted for compatibility; logs a warning and does nothing: PyTorch shares memory by itself."
    )


@dataclass(frozen=True, kw_only=True)
class _ProfilerOptions:
    """Profiler"""

    profiler: bool = option(
        False,
        "Log after each epoch how much time each phase took: data, forward, backward, update, validation, "
        "saving.",
    )


@dataclass(frozen=True, kw_only=True)
class _SeedOptions:
    """Other"""

    seed: int = option(3435, "Random seed.", valid=at_least(0))


@dataclass(frozen=True, kw_only=True)
class _LoopOptions(
    TrainerOptions,
    StepOptions,
    OptimOptions,
    AccumulationOptions,
    RegularisationOptions,
    StoppingOptions,
    _SeedOptions,
):
    """Everything the training loop asks for"""


@dataclass(frozen=True, kw_only=True)
class _TrainOptions(
    _TrainingDataOptions,
    HookOptions,
    _LoopOptions,
    GoogleModelOptions,
    GoogleTrainingOptions,
    SaverOptions,
    TranslatorOptions,
    _ExperimentOptions,
    _MemoryOptions,
    _ProfilerOptions,
    DeviceOptions,
    LoggerOptions,
):
    """Train"""

    def check(self) -> None:
        """Check options that depend on each other."""
        if self.continue_ and not self.train_from:
            raise OptionError("-continue needs -train_from: the checkpoint to go on from")
        if self.update_vocab != "none" and not self.train_from:
            raise OptionError("-update_vocab needs -train_from: the model whose vocabularies change")
        if self.cuda_graphs and not self.wants_gpu:
            raise OptionError("-cuda_graphs needs a GPU: choose one with -gpuid")
        if self.cuda_graphs and self.accum_count > 1:
            raise OptionError(
                "-cuda_graphs cannot be used with -accum_count: a graph overwrites its gradients"
            )
        if not self.continue_:  # otherwise the checkpoint may set some of them
            self.check_steps_of_samples()

    def check_steps_of_samples(self) -> None:
        """Raise OptionError if steps are counted in passes that differ in length."""
        if (self.sample or self.gsample) and self.train_steps and not self.eval_every_n_steps:
            raise OptionError(
                "-train_steps with samples needs -eval_every_n_steps: passes over them differ in length"
            )


@dataclass(frozen=True, kw_only=True)
class TrainSeq2SeqOptions(
    _TrainOptions, BitextOptions, CoverageOptions, SharedTableOptions, Seq2SeqModelOptions
):
    """Train"""


@dataclass(frozen=True, kw_only=True)
class _WithoutTranslation(_TrainOptions):
    """Train"""

    def check(self) -> None:
        """Refuse metrics that compare translations."""
        for metric in (self.validation_metric, *self.log_metrics):
            if metric not in ("perplexity", "loss"):
                flag = "-validation_metric" if metric == self.validation_metric else "-log_metrics"
                raise OptionError(f"{flag} {metric} compares translations: it needs -model_type seq2seq")


@dataclass(frozen=True, kw_only=True)
class _TrainLanguageModelOptions(_WithoutTranslation, MonotextOptions, LanguageModelOptions):
    """Train"""


@dataclass(frozen=True, kw_only=True)
class _TrainTaggerOptions(_WithoutTranslation, BitextOptions, TaggerOptions):
    """Train"""

    def check(self) -> None:
        """Refuse options that a tagger does not support."""
        if self.sample_vocab:
            raise OptionError("-sample_vocab works with -model_type seq2seq and lm only")
        if self.label_smoothing and self.loglikelihood == "sentence":
            raise OptionError(
                "-label_smoothing needs -loglikelihood word: it does not apply to whole sequences of tags"
            )


AnyTrainOptions = TrainSeq2SeqOptions | _TrainLanguageModelOptions | _TrainTaggerOptions
"""The options of train.py by `-model_type`."""

_BY_MODEL_TYPE: Final[Mapping[str, type[AnyTrainOptions]]] = {
    "seq2seq": TrainSeq2SeqOptions,
    "lm": _TrainLanguageModelOptions,
    "seqtagger": _TrainTaggerOptions,
}


def choose_options(words: Mapping[str, str]) -> type[AnyTrainOptions]:
    """Return the options for a `-model_type`, with those that a `-hook_file` adds. Raises OptionError."""
    return hooked_options(_BY_MODEL_TYPE.get(words.get("model_type", ""), TrainSeq2SeqOptions), words)


_OF_BOTH_DIALECTS: Final = ("pre_word_vecs_", "fix_word_vecs_", "scheduled_sampling")
"""Prefixes of flags that describe models of both dialects."""


def describing_flags() -> tuple[str, ...]:
    """Return the flags that describe a model, its loss or its schedule."""
    model = [option.flag for option in declared_options(Seq2SeqModelOptions)]
    training = [option.flag for option in declared_options(OptimOptions) if option.info.train_state]
    return tuple(flag for flag in (*model, *training) if flag != "model_type")


def flags_of_lua_models() -> tuple[str, ...]:
    """Return those of `describing_flags` that have no meaning with `-model`."""
    return tuple(flag for flag in describing_flags() if not flag.startswith(_OF_BOTH_DIALECTS))


def implied_flags(given: Mapping[str, Any]) -> Implied:
    """Return the flags that follow from a google/seq2seq model's settings, see `flags_from_settings`."""
    if not given.keys() & flags_of(GoogleModelOptions, GoogleTrainingOptions, StepOptions):
        return Implied({}, idle=TRANSLATED_FLAGS)
    return flags_from_settings(given, flags_of_lua_models())
