"""Help texts, for a terminal (`-h`) and for the reference pages (`-h -md`), from the declarations alone."""

import os
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from onmt.commandline.builtin import BuiltInOptions
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.script import Script
from onmt.commandline.values import show

_WIDTH: Final = 80
_INDENT: Final = " " * 6


@dataclass(frozen=True)
class Item:
    """One option as help shows it; `name` covers two where a family is there under two prefixes."""

    name: str
    option: Option


def help_text(script: Script[Any], options: type) -> str:
    """The help for a terminal."""
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
    """The help in Markdown."""
    members = (*declared_options(options), *declared_options(BuiltInOptions))
    return "\n".join([f"# `{script.name}` options", "", script.summary, *markdown_groups(members)])


def markdown_groups(options: Iterable[Option]) -> list[str]:
    """The lines of a list of options in Markdown, under the headings of their groups."""
    lines = []
    for heading, items in _groups(options):
        lines += ["", f"## {heading} options", ""]
        for item in items:
            kind = f" {item.option.shown_kind}" if item.option.shown_kind else ""
            lines.append(f"* `{item.name}{kind}`{_notes(item.option, '`')}<br/>{item.option.info.help}")
    return lines


def _groups(options: Iterable[Option]) -> Iterator[tuple[str, list[Item]]]:
    """Headings with their options, in order of first appearance."""
    groups: dict[str, list[Option]] = {}
    for option in options:
        if option.info.deprecated is None:
            groups.setdefault(option.heading, []).append(option)
    for heading, members in groups.items():
        yield heading, list(_items(members))


def _items(members: Iterable[Option]) -> Iterator[Item]:
    """Options of one heading; those that two prefixes share, with the same default, are shown once."""
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
    """` (required; accepted: a, b; default: a)`, as far as there is something to say."""
    notes = []
    if option.info.required:
        notes.append("required")
    if option.accepted:
        notes.append("accepted: " + ", ".join(f"{quote}{word}{quote}" for word in option.accepted))
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
