"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from onmt.errors import DataError

_OPEN_FILES: Final = "/proc/self/fd"  # Linux: through it, a file without a name can be given one


class StagedFiles:
    """Writes several files that get their names by `commit`, together; use as a context manager.

    Until then they have no names where the system can do that, so nothing is left of them even when the
    program is killed. Elsewhere they have temporary names, which go when the context ends.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._staged: list[tuple[IO[bytes], Path]] = []

    def __enter__(self) -> "StagedFiles":
        return self

    def __exit__(self, *error: object) -> None:
        for _, path in self._staged:
            _temporary(path).unlink(missing_ok=True)
        self._stack.close()

    @contextmanager
    def open(self, path: str | Path) -> Iterator[IO[bytes]]:
        """A file to write, safely on disk when the block ends. Raises DataError when it cannot be written.

        A path that stands for no file on disk (`/dev/stdout`, a pipe) is written to at once.
        """
        target = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
        try:
            if target.exists() and not target.is_file() and not target.is_dir():
                with target.open("wb") as file:
                    yield file
                return
            staged = self._stack.enter_context(_open_nameless(target) or _temporary(target).open("wb"))
            self._staged.append((staged, target))
            yield staged
            staged.flush()
            os.fsync(staged.fileno())
        except OSError as error:
            raise DataError(f"{path}: cannot write: {error.strerror}") from error

    def commit(self, outdated: Path | None = None) -> None:
        """Give the files their names, in the order in which they were opened.

        `outdated` is removed before the first of them appears, but not if something fails before that.
        """
        for file, path in self._staged:
            with _naming(path):
                if os.fstat(file.fileno()).st_nlink == 0:
                    _temporary(path).unlink(missing_ok=True)
                    _link(file, _temporary(path))
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if outdated is not None:
            outdated.unlink(missing_ok=True)
        for _, path in self._staged:
            with _naming(path):
                _temporary(path).replace(path)
        self._staged = []


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write; it takes the name `path` when the block ends, and vanishes if the block raises."""
    with StagedFiles() as staged:
        with staged.open(path) as file:
            yield file
        staged.commit()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot write: {error.strerror}") from error


def _temporary(path: str | Path) -> Path:
    return Path(f"{path}.tmp")


def _open_nameless(path: Path) -> IO[bytes] | None:
    """A file without a name in the folder of `path`; None where the system knows no such thing."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir(_OPEN_FILES):
        return None
    try:
        return os.fdopen(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    except OSError:
        return None


def _link(file: IO[bytes], path: Path) -> None:
    """Give a name to a file that has none."""
    folder = os.open(_OPEN_FILES, os.O_RDONLY)
    try:
        # Only with a folder given does Python ask for what the entry there stands for, and not for the entry.
        os.link(str(file.fileno()), path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
