"""Training and translation throughput as JSON: `python -m benchmarks -h`, or `make bench`."""

import json
import sys
from pathlib import Path

from benchmarks.options import BenchmarkOptions
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.logger import Logger


def _benchmarks(parsed: Parsed[BenchmarkOptions], logger: Logger) -> None:
    """Measure every encoder and write the report."""
    from benchmarks.report import measure_all  # imports torch

    text = json.dumps(measure_all(parsed.options, logger), indent=2) + "\n"
    if parsed.options.output == "-":
        sys.stdout.write(text)
    else:
        Path(parsed.options.output).write_text(text, encoding="utf-8")


benchmarks = Command(
    Script(
        name="benchmarks",
        summary="Measures training and translation, and what share of the machine's matrix rate they reach.",
        choose=lambda _: BenchmarkOptions,
        data_on_stdout=lambda options: options.output == "-",
    ),
    _benchmarks,
)


if __name__ == "__main__":
    sys.exit(benchmarks())
