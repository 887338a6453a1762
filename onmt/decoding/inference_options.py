"""Options of tools/lm.py and tools/tag.py. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import (
    at_least,
    between,
    existing_file,
    existing_file_or_empty,
    existing_model,
    not_empty,
    option,
)
from onmt.decoding.options import TimeOptions
from onmt.errors import OptionError
from onmt.logger import LoggerOptions
from onmt.runtime.options import DeviceOptions


@dataclass(frozen=True, kw_only=True)
class _TagDataOptions:
    """Data"""

    src: str = option(
        "",
        "File to tag, one sentence per line; `-` reads standard input.",
        valid=existing_file,
        required=True,
    )
    tgt: str = option("", "File of reference tags to score.", valid=existing_file_or_empty)
    output: str = option(
        "pred.txt",
        "File for the tags, one line per sentence; `-` writes standard output.",
        valid=not_empty,
        writes=("{}",),
    )
    idx_files: bool = option(
        False,
        "Each line starts with a key and a blank; source and reference are matched by key. Always on if the "
        "source is vectors.",
    )


@dataclass(frozen=True, kw_only=True)
class _TaggerOptions:
    """Tagger"""

    model: str = option("", "Tagger to use.", valid=existing_model, required=True)
    batch_size: int = option(30, "Number of sentences in a batch.", valid=at_least(1))


@dataclass(frozen=True, kw_only=True)
class TagOptions(_TagDataOptions, _TaggerOptions, DeviceOptions, LoggerOptions, TimeOptions):
    """Tag"""

    def check(self) -> None:
        """Raise OptionError for options that do not go together."""
        if self.src == "-" and self.tgt == "-":
            raise OptionError("-src and -tgt cannot both be standard input")


@dataclass(frozen=True, kw_only=True)
class _LmDataOptions:
    """Data"""

    mode: Literal["score", "sample"] = option(
        "",
        "`score`: write the negative log-likelihood of each line's words, divided by the number of words + "
        "1. `sample`: continue each line with words sampled from the model.",
        positional=True,
        required=True,
    )
    src: str = option(
        "",
        "File to score or to continue, one sentence per line; `-` reads standard input.",
        valid=existing_file,
        required=True,
    )
    output: str = option(
        "output.txt",
        "File for the results, one line per sentence; `-` writes standard output.",
        valid=not_empty,
        writes=("{}",),
    )


@dataclass(frozen=True, kw_only=True)
class _LmModelOptions:
    """LM"""

    model: str = option("", "Language model to use.", valid=existing_model, required=True)
    batch_size: int = option(30, "Number of sentences in a batch.", valid=at_least(1))
    max_length: int = option(
        100,
        "Maximum length of a line that `sample` writes, in words, the given ones included.",
        valid=at_least(1),
    )
    temperature: float = option(
        1.0,
        "Temperature of `sample`, which divides the log-probabilities: lower values favour likely words.",
        valid=between(0.0001, 1),
    )
    seed: int = option(3435, "Random seed of `sample`.", valid=at_least(0))


@dataclass(frozen=True, kw_only=True)
class LmOptions(_LmDataOptions, _LmModelOptions, DeviceOptions, LoggerOptions, TimeOptions):
    """Language model"""
