"""`<save_model>_metrics.jsonl`: a JSON object per report and per validation, for programs to read."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onmt.errors import DataError
from onmt.files import replacing
from onmt.logger import Logger


class MetricsFile:
    """Appends to the file of a training; like a log, it never ends a training when it cannot be written."""

    def __init__(self, save_model: str, logger: Logger) -> None:
        self._path = Path(f"{save_model}_metrics.jsonl")
        self._logger = logger
        self._failed = False

    def start(self, epoch: int, iteration: int) -> None:
        """Begin at this position: keep only the records of earlier ones, so that a continued training's file
        equals that of an uninterrupted one but for times.
        """
        try:
            lines = self._path.read_bytes().split(b"\n") if self._path.exists() else []
            kept = [line + b"\n" for line in lines if _position(line) < (epoch, iteration)]
            with replacing(self._path) as file:
                file.write(b"".join(kept))
        except OSError as error:  # what cannot be read must not be replaced by an empty file
            self._fail(error.strerror or str(error))
        except DataError as error:
            self._fail(str(error))

    def add(self, kind: str, epoch: int, iteration: int, values: Mapping[str, Any]) -> None:
        """Append a record; numbers that are not finite become null, which JSON lacks otherwise."""
        if self._failed:
            return
        record = {
            "kind": kind,
            "epoch": epoch,
            "iteration": iteration,
            **values,
            "time": round(time.time(), 3),
        }
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({name: _plain(value) for name, value in record.items()}) + "\n")
        except OSError as error:
            self._fail(error.strerror or str(error))

    def _fail(self, reason: str) -> None:
        self._failed = True
        self._logger.warning(f"Cannot write '{self._path}' any more: {reason}")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _position(line: bytes) -> tuple[float, float]:
    """Epoch and iteration of a record; infinite for a line that a killed program did not finish.

    A validation comes after the last iteration of its epoch: a training that goes on from between the two
    validates again.
    """
    try:
        record = json.loads(line)
        iteration = math.inf if record["kind"] == "validation" else int(record["iteration"])
        return int(record["epoch"]), iteration
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf, math.inf
