"""Declarations of options: fields of frozen keyword-only dataclasses, each declared once.

    @dataclass(frozen=True, kw_only=True)
    class LoggerOptions:
        '''Logger'''      # the first line is the heading of the group in `-h`: "Logger options"
        log_file: str = option("", "Append the log to this file instead of standard output.")

The annotation gives the type and the accepted values: `str`, `int`, `float`, `bool`, `Literal["a", "b"]`,
`bool | Literal["pretrained"]`, and lists as `tuple[str, ...]`, `tuple[int, ...]`, `tuple[Literal["a"], ...]`.
Groups compose by inheritance, and by `group()` where one family of options is needed under several prefixes.
A class may define `check(self) -> None` for conditions between its own options. It raises `OptionError` and
is called once for each class that defines it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from onmt.files import saved_models

Validator = Callable[[Any], str | None]


def at_least(minimum: float) -> Validator:
    """Accept a number, or a list of numbers, of at least `minimum`."""

    def check(value: Any) -> str | None:
        if all(number >= minimum for number in _elements(value)):
            return None
        return f"the {_kind(value)} must be at least {minimum}"

    return check


def between(minimum: float, maximum: float) -> Validator:
    """Accept a number, or a list of numbers, between the two bounds, both included."""

    def check(value: Any) -> str | None:
        if all(minimum <= number <= maximum for number in _elements(value)):
            return None
        return f"the {_kind(value)} must be between {minimum} and {maximum}"

    return check


def not_empty(value: Any) -> str | None:
    """Accept a text or a list that is not empty."""
    return None if len(value) > 0 else "the argument must not be empty"


def existing_file(value: Any) -> str | None:
    """Accept the name of an existing file, or a list of them; `-`, standard input, counts as one."""
    for path in _elements(value):
        if not path:
            return "the file must exist, but its name is empty"
        if path != "-" and not os.path.exists(path):
            return f"the file must exist, but there is no '{path}'"
        if os.path.isdir(path):
            return f"it must be a file, but '{path}' is a folder"
    return None


def existing_file_or_empty(value: Any) -> str | None:
    """Accept the same as `existing_file`, and an empty name, which means "none"."""
    return None if not value else existing_file(value)


def existing_folder_or_empty(value: Any) -> str | None:
    """Accept the name of an existing folder, and an empty name, which means "none"."""
    if not value or os.path.isdir(value):
        return None
    return f"the folder must exist, but there is no folder '{value}'"


def existing_model(value: Any) -> str | None:
    """Accept an existing model file; a name ending in `.t7` may stand for the `.pt` file of the same stem."""
    for path in _elements(value):
        if path.endswith(".t7") and os.path.isfile(path.removesuffix(".t7") + ".pt"):
            continue
        problem = existing_file(path)
        if problem is not None:
            return problem
    return None


def existing_model_or_empty(value: Any) -> str | None:
    """Accept the same as `existing_model`, and an empty name, which means "none"."""
    return None if not value else existing_model(value)


def existing_checkpoint_or_empty(value: Any) -> str | None:
    """Accept the same as `existing_model_or_empty`, a folder of saved models, and a training's
    `-save_model`.
    """
    if os.path.isdir(value) and not saved_models(value):
        return f"no training has saved a model in the folder '{value}'"
    return None if saved_models(value) else existing_model_or_empty(value)


def _elements(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _kind(value: Any) -> str:
    return "integer" if all(isinstance(number, int) for number in _elements(value)) else "number"


OPTION_KEY: Final = "option"
GROUP_KEY: Final = "group"
REMOVED_KEY: Final = "removed"


@dataclass(frozen=True)
class OptionInfo:
    """The declaration of an option without its name, type and default.

    structural: the option is part of the model. 0: restored from the checkpoint on `-train_from`, a different
        value is ignored with a warning. 1: restored too, unless the user gives another value, which takes
        effect.
    init_only: the option only matters when a model is created; restored like structural 0.
    train_state: restored by `-continue` only.
    valid: check of a value that the user gives, such as `at_least(1)`; returns the problem or None. Defaults
        are not checked.
    flag: name on the command line if it differs from the field's name (`continue_`: `flag="continue"`).
    required: the user must give a value that is not empty.
    positional: given by position, without a flag.
    deprecated: (new option, value it gets). The old flag is hidden from the help and causes a warning.
    dry: a boolean; while it is true (`-dry_run`), required options may be missing.
    reads, writes: patterns of names of files that the run reads or writes for the option, in which `{}` is
        the option's value: see `onmt.commandline.parser`. An option whose `valid` requires existing files
        reads these files without a pattern.
    replaces: flags of options whose files the option may overwrite on purpose.
    whole: commas do not separate elements of a list on the command line, because elements may contain them.
    """

    help: str
    structural: Literal[0, 1] | None
    init_only: bool
    train_state: bool
    valid: Validator | None
    flag: str | None
    required: bool
    positional: bool
    deprecated: tuple[str, object] | None
    dry: bool
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    replaces: tuple[str, ...]
    whole: bool


@dataclass(frozen=True)
class GroupInfo:
    """A family of options nested in another class under a prefix."""

    options: type
    prefix: str


def option(
    default: object,
    help: str,
    *,
    structural: Literal[0, 1] | None = None,
    init_only: bool = False,
    train_state: bool = False,
    valid: Validator | None = None,
    flag: str | None = None,
    required: bool = False,
    positional: bool = False,
    deprecated: tuple[str, object] | None = None,
    dry: bool = False,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    replaces: tuple[str, ...] = (),
    whole: bool = False,
) -> Any:
    """Declare one option: return a dataclass field. The type comes from the field's annotation.

    The keywords are the fields of `OptionInfo`.
    """
    info = OptionInfo(
        help=help,
        structural=structural,
        init_only=init_only,
        train_state=train_state,
        valid=valid,
        flag=flag,
        required=required,
        positional=positional,
        deprecated=deprecated,
        dry=dry,
        reads=reads,
        writes=writes,
        replaces=replaces,
        whole=whole,
    )
    return field(default=default, metadata={OPTION_KEY: info})


def removed(value: object) -> Any:
    """Declare, in a derived class, that an option of a base class no longer exists; its value is fixed.

    For the user's `-hook_file`, whose `declareOpts` may remove options.
    """
    return field(default=value, metadata={REMOVED_KEY: True})


def group(options: type, prefix: str, defaults: Mapping[str, object] | None = None) -> Any:
    """Declare a nested group: all options of `options` under `prefix` (`tok_src_` gives `-tok_src_mode`).

    defaults: values by field name that replace the defaults of these options in this group.
    """
    replaced = dict(defaults or {})
    return field(
        default_factory=lambda: options(**replaced),
        metadata={GROUP_KEY: GroupInfo(options=options, prefix=prefix)},
    )


HELP_FLAGS: Final = frozenset({"h", "help", "md", "version"})


@dataclass(frozen=True, kw_only=True)
class BuiltInOptions:
    """Command line"""

    h: bool = option(False, "Print this help and exit; -help does the same.")
    md: bool = option(False, "Print the help in Markdown.")
    version: bool = option(False, "Print the version of the toolkit and exit.")
    config: str = option(
        "",
        "Read options from this file, one `key = value` per line, without the hyphen. Options on the "
        "command line take precedence.",
        reads=("{}",),
    )
    save_config: str = option(
        "",
        "Write the values of all options of this run to this file, in the format of -config.",
        writes=("{}",),
    )
