"""The options that every script has."""

from dataclasses import dataclass
from typing import Final

from onmt.commandline.declare import option

HELP_FLAGS: Final = frozenset({"h", "help", "md", "version"})


@dataclass(frozen=True, kw_only=True)
class BuiltInOptions:
    """Command line"""

    h: bool = option(False, "Print this help and stop; -help does the same.")
    md: bool = option(False, "Print the help in Markdown.")
    version: bool = option(False, "Print the version of the toolkit and stop.")
    config: str = option(
        "",
        "Read options from this file, one `key = value` per line, without the hyphen. What the command line "
        "sets as well is taken from the command line.",
        reads=("{}",),
    )
    save_config: str = option(
        "",
        "Write all options with the values of this run into this file, for -config to read.",
        writes=("{}",),
    )
