"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from onmt.errors import DataError


class StagedFiles:
    """Writes several files under temporary names; `commit` gives all of them their names.

    Use as a context manager: what was not committed is removed at its end.
    """

    def __init__(self) -> None:
        self._staged: list[tuple[Path, Path]] = []

    def __enter__(self) -> "StagedFiles":
        return self

    def __exit__(self, *error: object) -> None:
        for temporary, _ in self._staged:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def open(self, path: str | Path) -> Iterator[BinaryIO]:
        """A file to write, safely on disk when the block ends. Raises DataError when it cannot be written."""
        temporary = Path(f"{path}.tmp")
        self._staged.append((temporary, Path(path)))
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"{path}: cannot write: {error.strerror}") from error

    def commit(self) -> None:
        """Rename the files, in the order in which they were opened."""
        for temporary, path in self._staged:
            try:
                temporary.replace(path)
            except OSError as error:
                raise DataError(f"{path}: cannot write: {error.strerror}") from error
        self._staged = []


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the name `path` when the block ends, and vanishes if the block raises."""
    with StagedFiles() as staged:
        with staged.open(path) as file:
            yield file
        staged.commit()
