"""Options of what is trained on: prepared data or raw files, and samples of either. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import at_least, option
from onmt.data.options import DataOptions
from onmt.data.shards import prepared_data_or_empty
from onmt.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class PreparedDataOptions:
    """Data"""

    data: str = option(
        "",
        "Prepared data: what preprocess.py wrote for its `-save_data`, by that name, or the manifest's "
        "file name. Without it the text files themselves are trained on: name them as for preprocess.py.",
        valid=prepared_data_or_empty,
        reads=("{}", "{}-train.json", "{}-*.bin"),
    )


@dataclass(frozen=True, kw_only=True)
class SampledDatasetOptions:
    """Sampled dataset"""

    sample: int = option(
        0, "Number of sentences to train each epoch on, drawn anew; 0: all of them.", valid=at_least(0)
    )
    sample_type: Literal["uniform", "perplexity", "partition"] = option(
        "uniform",
        "How -sample draws. `uniform`: any sentence, with replacement. `perplexity`: with replacement, "
        "sentences that the model finds hard more often. `partition`: evenly spaced ones, so that successive "
        "epochs take every sentence in turn.",
    )
    sample_perplexity_init: float = option(
        15.0,
        "With `-sample_type perplexity`: the perplexity that a sentence has before it was trained on. Until "
        "the mean of all sentences is below it, sentences are drawn uniformly.",
    )
    sample_perplexity_max: float = option(
        -1.5,
        "With `-sample_type perplexity`: a sentence of a higher perplexity than this is taken for noise and "
        "weighs 1. A negative number -x stands for the most frequent perplexity plus x standard deviations, "
        "measured on the perplexities above it.",
    )


@dataclass(frozen=True, kw_only=True)
class SampledVocabularyOptions:
    """Sampled vocabulary"""

    sample_tgt_vocab: bool = option(False, "Use `-sample_vocab`.", deprecated=("sample_vocab", True))
    sample_vocab: bool = option(
        False,
        "With -sample or -gsample: in training, predict only among the words that the epoch's sentences use. "
        "Quicker with a large vocabulary; validation uses the whole one.",
    )


@dataclass(frozen=True, kw_only=True)
class TrainingDataOptions(PreparedDataOptions, SampledDatasetOptions, SampledVocabularyOptions, DataOptions):
    """Data"""

    def check(self) -> None:
        """Prepared data or raw files, and samples of the one that there is."""
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
            raise OptionError("-sample_vocab needs -sample or -gsample: it is about a sample's words")
