"""No run writes over a file that it reads: known from the declarations of the options.

An option reads the files it names where its `valid` wants them to exist, or `reads` says so; it writes what
its `writes` says. Both are patterns of names, `{}` standing for the value: `{}_epoch*` are all models of
training. Links and relative names are followed. Only files on disk count, no devices and pipes.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from onmt.commandline.schema import Option
from onmt.commandline.validators import (
    Validator,
    existing_checkpoint_or_empty,
    existing_file,
    existing_file_or_empty,
    existing_model,
    existing_model_or_empty,
)
from onmt.errors import OptionError

_WANT_A_FILE: Final[tuple[Validator, ...]] = (
    existing_file,
    existing_file_or_empty,
    existing_checkpoint_or_empty,
    existing_model,
    existing_model_or_empty,
)


class _Named(NamedTuple):
    """A pattern of names that an option stands for. literal: there is one such name."""

    option: Option
    value: str
    pattern: str
    literal: bool


def refuse_overwriting(values: Sequence[tuple[Option, Any]]) -> None:
    """Raise OptionError where one option writes a file that another one reads or writes."""
    read = [named for option, value in values for named in _named(option, value, _reads(option))]
    written = [named for option, value in values for named in _named(option, value, option.info.writes)]
    for place, result in enumerate(written):
        for other in read:
            if other.option.flag in result.option.info.replaces or other.option is result.option:
                continue
            if any(_meets(result, path) for path in _existing(other)):
                raise OptionError(
                    f"'{result.value}' is read by this run: writing results to it would destroy it "
                    f"({result.option.shown} and {other.option.shown})"
                )
        for other in written[:place]:
            if other.option is not result.option and _same_result(result, other):
                raise OptionError(
                    f"'{result.value}' cannot be the file of two results "
                    f"({other.option.shown} and {result.option.shown})"
                )


def _reads(option: Option) -> tuple[str, ...]:
    return ("{}",) if option.info.valid in _WANT_A_FILE else option.info.reads


def _named(option: Option, value: Any, patterns: Iterable[str]) -> Iterator[_Named]:
    names = value if isinstance(value, tuple) else (value,)
    for name in names:
        if isinstance(name, str) and name not in ("", "-"):
            for pattern in patterns:
                literal = "*" not in pattern
                shown = name if literal else glob.escape(name)
                yield _Named(option, name, pattern.replace("{}", shown), literal)


def _existing(named: _Named) -> list[str]:
    """The files on disk that are read, by their real names. A `.t7` may stand for the `.pt` of its stem."""
    paths = [named.pattern] if named.literal else glob.glob(named.pattern)
    stem, ending = os.path.splitext(named.pattern)
    if named.literal and ending == ".t7" and not os.path.exists(named.pattern):
        paths = [f"{stem}.pt"]
    return [os.path.realpath(path) for path in paths if os.path.isfile(path)]


def _meets(result: _Named, path: str) -> bool:
    """Whether a result goes to the file of this real name."""
    if result.literal:
        real = os.path.realpath(result.pattern)
        return real == path or (
            os.path.exists(real) and os.path.exists(path) and os.path.samefile(real, path)
        )
    folder, name = os.path.split(result.pattern)
    here, base = os.path.split(path)
    return os.path.realpath(_unescaped(folder) or ".") == here and fnmatchcase(base, name)


def _unescaped(text: str) -> str:
    """Undo `glob.escape`."""
    return text.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[")


def _same_result(one: _Named, other: _Named) -> bool:
    if not one.literal and not other.literal:
        return one.pattern == other.pattern
    exact, either = (one, other) if one.literal else (other, one)
    real = os.path.realpath(exact.pattern)
    return not (os.path.exists(real) and not os.path.isfile(real) and not os.path.isdir(real)) and _meets(
        either, real
    )
