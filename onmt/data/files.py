"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from onmt.errors import DataError


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the name `path` when the block ends, and vanishes if the block raises."""
    temporary = Path(f"{path}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot write: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
