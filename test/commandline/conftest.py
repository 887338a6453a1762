"""Scripts with options of every kind, for the tests of the command line."""

from dataclasses import dataclass
from typing import Literal

import pytest

from onmt.commandline.declare import at_least, between, existing_file, group, not_empty, option
from onmt.commandline.parser import parse
from onmt.commandline.script import HelpRequested, Script
from onmt.errors import OptionError
from onmt.logger import LoggerOptions


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions:
    """Tokenizer"""

    mode: Literal["space", "conservative"] = option("conservative", "Where tokens end.")
    alphabets: tuple[Literal["Han", "Latin"], ...] = option((), "Scripts to cut.")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Data options"""

    data_type: Literal["bitext", "monotext"] = option("bitext", "Kind of data.")
    save_data: str = option("", "Start of the names.", required=True, valid=not_empty)
    dry_run: bool = option(False, "Write nothing.", dry=True)
    sort: bool = option(True, "Sort.")
    sizes: tuple[int, ...] = option((50000,), "Sizes.", valid=at_least(0), structural=0)
    words: tuple[str, ...] = option((), "Words.")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Model"""

    layers: int = option(2, "Layers.", valid=at_least(1), structural=0)
    dropout: float = option(0.3, "Dropout.", valid=between(0, 1), structural=1)
    threshold: float = option(-1.5, "Threshold.")
    limit: float = option(float("inf"), "Limit.", valid=at_least(1))
    fix: bool | Literal["pretrained"] = option(False, "Keep vectors.", structural=1)
    encoder: Literal["rnn", "brnn"] = option("rnn", "Encoder.", structural=0)
    brnn: bool = option(False, "Use -encoder brnn.", deprecated=("encoder", "brnn"))
    param_init: float = option(0.1, "Start.", init_only=True)
    optim: Literal["sgd", "adam"] = option("sgd", "Optimiser.", train_state=True)
    continue_: bool = option(False, "Go on.", flag="continue")
    load: str = option("", "A file.", valid=existing_file)

    def check(self) -> None:
        if self.encoder == "brnn" and self.layers > 4:
            raise OptionError("-encoder brnn has 4 layers at most")


@dataclass(frozen=True, kw_only=True)
class BitextOptions(DataOptions, ModelOptions, LoggerOptions):
    """Pairs"""

    train_src: str = option("", "Source.")
    tok_src: TokenizerOptions = group(TokenizerOptions, prefix="tok_src_", defaults={"mode": "space"})
    tok_tgt: TokenizerOptions = group(TokenizerOptions, prefix="tok_tgt_", defaults={"mode": "space"})


@dataclass(frozen=True, kw_only=True)
class MonotextOptions(DataOptions, ModelOptions, LoggerOptions):
    """Sentences"""

    train: str = option("", "Text.")
    tok: TokenizerOptions = group(TokenizerOptions, prefix="tok_")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Score"""

    mode: Literal["score", "sample"] = option("", "What to do.", positional=True, required=True)
    quiet: bool = option(False, "Say less.")
    order: int = option(4, "Order.")
    models: tuple[str, ...] = option((), "Models.")


@pytest.fixture(scope="session")
def script():
    return Script(
        name="toy.py",
        summary="A toy with all kinds of options.",
        choose=lambda given: MonotextOptions if given.get("data_type") == "monotext" else BitextOptions,
        selectors=("data_type",),
    )


@pytest.fixture(scope="session")
def positional_script():
    return Script(
        name="tools/score.py", summary="Takes a positional argument.", choose=lambda _: ScoreOptions
    )


@pytest.fixture(scope="session")
def options():
    """options(script, *argv) -> the options of a command line; required flags are added."""
    return lambda script, *argv: parse(script, ["-save_data", "demo", *argv]).options


@pytest.fixture(scope="session")
def refusal():
    """refusal(script, argv) -> the error message of a command line that is refused."""

    def refusal(script, argv):
        with pytest.raises(OptionError) as caught:
            parse(script, argv)
        return str(caught.value)

    return refusal


@pytest.fixture(scope="session")
def outcome():
    """outcome(script, argv) -> the error message of a refused command line; None for any other."""

    def outcome(script, argv):
        try:
            parse(script, argv)
        except HelpRequested:
            return None
        except OptionError as error:
            return str(error)
        return None

    return outcome
