"""The description of a script, and its help text."""

import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from onmt.commandline.declare import BuiltInOptions
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.values import show

Options = TypeVar("Options")


@dataclass(frozen=True)
class Implied:
    """Flags implied by the given ones: values by flag, warnings for stderr, notices for the log.

    idle: flags without any meaning in combination with the given ones; `-save_config` leaves them out.
    """

    values: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    idle: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()


def _never(options: Any) -> bool:
    return False


def _nothing(given: Mapping[str, Any]) -> Implied:
    return Implied({})


@dataclass(frozen=True)
class Script(Generic[Options]):
    """The description of one of the toolkit's scripts.

    name: as the user types it (`train.py`, `tools/score.py`); messages begin with its last part.
    summary: one sentence for the help.
    choose: returns the dataclass of options, which may depend on flags such as `-model_type`, `-data_type` or
        `-hook_file`. It receives the first word given for each flag, in the configuration file or on the
        command line (which wins). It must accept unknown words too (they are refused later, so the usual
        dataclass will do) and may raise OptionError.
    selectors: the flags on which the result of `choose` depends. Messages use them to say with which value an
        option exists, and the documentation to list all options.
    imply: receives the values that the user gave, by flag (a deprecated flag beside its replacement). It
        returns values of further flags, or other values of the same ones; these count as given. It may raise
        OptionError.
    data_on_stdout: whether standard output carries data with these options; the log then goes to stderr.
    """

    name: str
    summary: str
    choose: Callable[[Mapping[str, str]], type[Options]]
    selectors: tuple[str, ...] = ()
    imply: Callable[[Mapping[str, Any]], Implied] = _nothing
    data_on_stdout: Callable[[Options], bool] = _never


@dataclass(frozen=True)
class Parsed(Generic[Options]):
    """The options of one run.

    given: the flags the user set, on the command line or in the configuration file.
    notices: lines for the log (a configuration key that the command line overrides ...).
    warnings: lines for standard error (deprecated flags).
    """

    options: Options
    given: frozenset[str]
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class HelpRequested(Exception):  # noqa: N818 - not an error: the user asked for a text instead of a run
    """`-h`, `-md` or `--version` was given; `text` is to be printed."""

    def __init__(self, text: str) -> None:
        super().__init__("help requested")
        self.text = text


_WIDTH: Final = 80
_INDENT: Final = " " * 6


@dataclass(frozen=True)
class Item:
    """An option as the help shows it; `name` covers the same option under several prefixes."""

    name: str
    option: Option


def help_text(script: Script[Any], options: type) -> str:
    """Return the help for a terminal."""
    declared = declared_options(options)
    positionals = "".join(f" {option.shown}" for option in declared if option.info.positional)
    lines = [f"Usage: {script.name} [options]{positionals}", "", *_wrap(script.summary, indent="")]
    for heading, items in _groups((*declared, *declared_options(BuiltInOptions))):
        lines += ["", f"{heading} options", ""]
        for item in items:
            lines += _wrap(f"  {item.name} {item.option.shown_kind}{_notes(item.option, '')}")
            lines += _wrap(_INDENT + item.option.info.help)
    lines += _elsewhere(script, declared)
    return "\n".join(lines)


def markdown_text(script: Script[Any], options: type) -> str:
    """Return the help in Markdown."""
    members = (*declared_options(options), *declared_options(BuiltInOptions))
    return "\n".join([f"# `{script.name}` options", "", script.summary, *markdown_groups(members)])


def markdown_groups(options: Iterable[Option]) -> list[str]:
    """Return Markdown lines for the options, under the headings of their groups."""
    lines = []
    for heading, items in _groups(options):
        lines += ["", f"## {heading} options", ""]
        for item in items:
            kind = f" {item.option.shown_kind}" if item.option.shown_kind else ""
            lines.append(f"* `{item.name}{kind}`{_notes(item.option, '`')}<br/>{item.option.info.help}")
    return lines


def _groups(options: Iterable[Option]) -> Iterator[tuple[str, list[Item]]]:
    """Yield headings with their options, in order of first appearance, without deprecated options."""
    groups: dict[str, list[Option]] = {}
    for option in options:
        if option.info.deprecated is None:
            groups.setdefault(option.heading, []).append(option)
    for heading, members in groups.items():
        yield heading, list(_items(members))


def _items(members: Iterable[Option]) -> Iterator[Item]:
    """Yield the options of one heading; an option under several prefixes with the same default comes once."""
    families: dict[tuple[int, str], list[Option]] = {}
    for option in members:
        families.setdefault((id(option.info), show(option.default)), []).append(option)
    for family in families.values():
        names = [option.flag for option in family]
        if len(names) == 1:
            yield Item(family[0].shown, family[0])
            continue
        start = _common_start(names)
        end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
        middles = ",".join(name[len(start) : len(name) - len(end)] for name in names)
        yield Item(f"-{start}{{{middles}}}{end}", family[0])


def _wrap(text: str, indent: str = _INDENT) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _common_start(names: list[str]) -> str:
    return os.path.commonprefix(names)  # noqa: RUF071 - letter by letter, these are flags


def _notes(option: Option, quote: str) -> str:
    """Return ` (required; accepted: a, b; default: a)`, with only those parts that apply."""
    notes = []
    if option.info.required:
        notes.append("required")
    if option.accepted:
        notes.append("accepted: " + ", ".join(f"{quote}{word}{quote}" for word in option.accepted if word))
    if not option.info.required and option.default != ():
        notes.append(f"default: {quote}{show(option.default) or chr(39) * 2}{quote}")
    return f" ({'; '.join(notes)})" if notes else ""


def _elsewhere(script: Script[Any], declared: Iterable[Option]) -> list[str]:
    accepted = {option.flag: option.accepted for option in declared}
    lines: list[str] = []
    for selector in script.selectors:
        values = ", ".join(accepted[selector])
        lines += [
            "",
            *_wrap(f"Which options exist depends on -{selector}: try -h -{selector} with {values}.", ""),
        ]
    return lines
