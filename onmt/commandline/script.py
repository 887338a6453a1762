"""What a command line belongs to, and what comes out of reading it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Options = TypeVar("Options")


@dataclass(frozen=True)
class Implied:
    """What given flags say about others: their values by flag, and lines for standard error.

    idle: flags that mean nothing beside them; `-save_config` leaves them out.
    """

    values: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    idle: frozenset[str] = frozenset()


def _never(options: Any) -> bool:
    return False


def _nothing(given: Mapping[str, Any]) -> Implied:
    return Implied({})


@dataclass(frozen=True)
class Script(Generic[Options]):
    """One of the toolkit's command lines.

    name: as the user types it (`train.py`, `tools/score.py`); messages begin with its last part.
    summary: one sentence for the help.
    choose: returns the dataclass of options. It receives the text given for each flag so far, the first word
        where there are several, from the configuration file and the command line (which wins): `-model_type`,
        `-data_type` or `-hook_file` may decide which options exist. It must answer for unknown words too (the
        usual set will do: the word is refused later) and may raise OptionError.
    selectors: the flags that `choose` looks at; with them a message can say where an option exists, and the
        documentation can list every set.
    imply: receives the values that the user gave, by flag (a deprecated one beside the flag that stands for
        it now), and returns values of more flags, or other values of the same ones; they count as given. It
        may raise OptionError.
    data_on_stdout: whether, with these options, standard output carries data: the log then goes to stderr.
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
    """`-h`, `-md` or `--version` was given; the text is the answer."""

    def __init__(self, text: str) -> None:
        super().__init__("help requested")
        self.text = text
