"""Writes the reference pages of all scripts: `python -m onmt.commandline.document docs/options`."""

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onmt.commandline.declare import option
from onmt.commandline.run import Command
from onmt.commandline.schema import declared_options
from onmt.commandline.script import Parsed, Script, markdown_groups, markdown_text
from onmt.logger import Logger

COMMANDS: Final = "onmt.commands"  # imported by name, since this package must not depend on the scripts


@dataclass(frozen=True, kw_only=True)
class DocumentOptions:
    """Reference pages"""

    folder: str = option(
        "", "Folder for the reference pages, one per script.", positional=True, required=True
    )


def _document(parsed: Parsed[DocumentOptions], logger: Logger) -> None:
    """Write `<script>.md` for every script."""
    folder = Path(parsed.options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for script in scripts():
        path = folder / f"{Path(script.name).stem}.md"
        path.write_text(reference_page(script), encoding="utf-8")
        logger.info(f"Wrote {path}")


document = Command(
    Script(
        name="document",
        summary="Writes a reference page for each script from the declarations of its options.",
        choose=lambda _: DocumentOptions,
    ),
    _document,
)


def commands() -> dict[str, Command[Any]]:
    """Return the commands of the toolkit by name, in alphabetical order."""
    package = importlib.import_module(COMMANDS)
    names = [f"{COMMANDS}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    contents = [vars(importlib.import_module(name)).items() for name in names]
    found = {name: value for content in contents for name, value in content if isinstance(value, Command)}
    return dict(sorted(found.items()))


def scripts() -> tuple[Script[Any], ...]:
    """Return the scripts of the toolkit, in alphabetical order of their commands."""
    return tuple(command.script for command in commands().values())


def reference_page(script: Script[Any]) -> str:
    """Return a page with the usual options of a script, then those that other values of selectors add."""
    usual = script.choose({})
    lines = [markdown_text(script, usual)]
    accepted = {option.flag: option.accepted for option in declared_options(usual)}
    known = {(option.flag, option.shown_kind) for option in declared_options(usual)}
    for selector in script.selectors:
        for value in accepted[selector]:
            chosen = script.choose({selector: value})
            own = [
                option for option in declared_options(chosen) if (option.flag, option.shown_kind) not in known
            ]
            if own:
                lines += ["", f"# Only with `-{selector} {value}`", *markdown_groups(own)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(document())
