"""Training and translation throughput as JSON: `python -m benchmarks -h`, or `make bench`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.options import BenchmarkOptions
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.logger import Logger

SCRIPT = Script(
    name="benchmarks",
    summary="Measures training and translation, and what share of the machine's matrix rate they reach.",
    choose=lambda _: BenchmarkOptions,
    data_on_stdout=lambda options: options.output == "-",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[BenchmarkOptions], logger: Logger) -> None:
    """Measure every encoder and write the report."""
    from benchmarks.report import measure_all  # imports torch

    text = json.dumps(measure_all(parsed.options, logger), indent=2) + "\n"
    if parsed.options.output == "-":
        sys.stdout.write(text)
    else:
        Path(parsed.options.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
