"""`tools/tag.py`: tags the positions of sentences with a trained sequence tagger."""

from collections.abc import Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.decoding.options import TagOptions
from onmt.logger import Logger

SCRIPT = Script(
    name="tools/tag.py",
    summary="Tags the positions of sentences with a trained sequence tagger.",
    choose=lambda _: TagOptions,
    data_on_stdout=lambda options: options.output == "-",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[TagOptions], logger: Logger) -> None:
    """Do the work; torch is imported only now."""
    from onmt.decoding.inference import TagRun

    TagRun(parsed.options, logger).run()
