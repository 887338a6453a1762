"""Files that appear whole or not at all, and the names of the models that a training saves."""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from onmt.errors import DataError

_OPEN_FILES: Final = "/proc/self/fd"  # Linux: through it, a file without a name can be given one


@dataclass
class _Staged:
    """A file that is being written, and what it will be called. temporary: its name until then, if any."""

    file: IO[bytes]
    target: Path
    temporary: Path | None


class StagedFiles:
    """Writes several files that get their names by `commit`, together; use as a context manager.

    Until then they have no names where the system can do that, so nothing is left of them even when the
    program is killed. Elsewhere they have temporary names of their own, which go when the context ends. Two
    programs that write the same file do not disturb each other: one of them gives it its content last.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._staged: list[_Staged] = []

    def __enter__(self) -> "StagedFiles":
        return self

    def __exit__(self, *error: object) -> None:
        for staged in self._staged:
            if staged.temporary is not None:
                with suppress(OSError):
                    staged.temporary.unlink(missing_ok=True)
        self._stack.close()

    @contextmanager
    def open(self, path: str | Path) -> Iterator[IO[bytes]]:
        """A file to write, safely on disk when the block ends. Raises DataError when it cannot be written.

        Where a link stands, what it points to is replaced. A path that stands for no file on disk
        (`/dev/stdout`, a pipe) is written to at once.
        """
        target = Path(os.path.realpath(path))
        try:
            if target.is_symlink():  # links that lead back to themselves are followed by nothing
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.exists() and not target.is_file() and not target.is_dir():
                with target.open("wb") as file:
                    yield file
                return
            staged = _stage(target)
            self._stack.enter_context(staged.file)
            self._staged.append(staged)
            yield staged.file
            staged.file.flush()
            os.fsync(staged.file.fileno())
        except OSError as error:
            raise DataError(f"{path}: cannot write: {error.strerror or error}") from error

    def commit(self, outdated: Path | None = None) -> None:
        """Give the files their names, in the order in which they were opened, and have the disk know them.

        `outdated` is removed before the first of them appears, but not if something fails before that.
        """
        for staged in self._staged:
            with _naming(staged.target):
                if staged.target.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                if staged.temporary is None:
                    staged.temporary = _link(staged.file, staged.target.parent)
        if outdated is not None:
            outdated.unlink(missing_ok=True)
        for staged in self._staged:
            with _naming(staged.target):
                assert staged.temporary is not None
                staged.temporary.replace(staged.target)
                staged.temporary = None
                _flush_folder(staged.target.parent)
        self._staged = []


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write; it takes the name `path` when the block ends, and vanishes if the block raises.

    Raises DataError, naming the file, when it cannot be written.
    """
    with StagedFiles() as staged:
        with staged.open(path) as file:
            yield file
        staged.commit()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot write: {error.strerror or error}") from error


def _temporary(folder: Path) -> Path:
    """An unpredictable name, short enough for every file system."""
    return folder / f".onmt-{secrets.token_hex(8)}.tmp"


def _stage(target: Path) -> _Staged:
    """A new file in the folder of `target`: without a name where the system knows such a thing."""
    if hasattr(os, "O_TMPFILE") and os.path.isdir(_OPEN_FILES):
        with suppress(OSError):
            descriptor = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
            return _Staged(os.fdopen(descriptor, "wb"), target, None)
    temporary = _temporary(target.parent)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
    return _Staged(os.fdopen(descriptor, "wb"), target, temporary)


def _link(file: IO[bytes], folder: Path) -> Path:
    """Give a temporary name to a file that has none."""
    path = _temporary(folder)
    descriptors = os.open(_OPEN_FILES, os.O_RDONLY)
    try:
        # Only with a folder given does Python ask for what the entry there stands for, and not for the entry.
        os.link(str(file.fileno()), path, src_dir_fd=descriptors, follow_symlinks=True)
    finally:
        os.close(descriptors)
    return path


def _flush_folder(folder: Path) -> None:
    """Have the disk know the names in a folder; not every file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_NAME: Final = re.compile(r"(?P<stem>.*)_(?:checkpoint|epoch\d+_[^_]*)\.pt", re.DOTALL)


def saved_models(where: str | Path) -> list[Path]:
    """The models in a folder, or those of the training whose `-save_model` is `where`; the newest first."""
    folder, stem = os.path.split(where)
    wanted: str | None = stem
    if os.path.isdir(where):
        folder, wanted = str(where), None
    found = []
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                name = _NAME.fullmatch(entry.name)
                if name is not None and wanted in (None, name["stem"]) and entry.is_file():
                    found.append((entry.stat().st_mtime_ns, os.path.join(folder, entry.name)))
    except OSError:
        return []
    return [Path(path) for _, path in sorted(found, reverse=True)]


def saved_beside(path: str | Path) -> list[Path]:
    """The other models of the training that saved this one; the newest first. None for other names."""
    name = _NAME.fullmatch(Path(path).name)
    if name is None:
        return []
    return [other for other in saved_models(Path(path).with_name(name["stem"])) if other != Path(path)]
