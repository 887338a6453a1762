"""`tools/lm.py`: scores sentences with a language model, or continues them."""

from collections.abc import Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.decoding.options import LmOptions
from onmt.logger import Logger

SCRIPT = Script(
    name="tools/lm.py",
    summary="Scores sentences with a language model, or continues them.",
    choose=lambda _: LmOptions,
    data_on_stdout=lambda options: options.output == "-",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[LmOptions], logger: Logger) -> None:
    """Do the work; torch is imported only now."""
    from onmt.decoding.inference import run_lm

    run_lm(parsed.options, logger)
