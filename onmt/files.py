"""Atomic writing of files, the only way in which they are written; and the names of saved models."""

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

_OPEN_FILES: Final = "/proc/self/fd"  # Linux: a file opened without a name can be linked through this folder


@dataclass
class _Staged:
    """An open file and the path that it will replace; `temporary` is its name until then, if it has one."""

    file: IO[bytes]
    target: Path
    temporary: Path | None


class StagedFiles:
    """Several files that appear under their names together, at `commit`; use as a context manager.

    Where the system supports it (Linux), the files have no names before `commit`, so a killed program leaves
    nothing behind. Elsewhere they have temporary names, which are removed when the context ends. Two programs
    may write the same file at the same time: the one that commits last determines its content.
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
        """Open a file for writing; its data is synced to disk when the block ends.

        If `path` is a symbolic link, its target is replaced. A device or a pipe (`/dev/stdout`) is written
        directly. Raises DataError when the file cannot be written.
        """
        target = Path(os.path.realpath(path))
        try:
            if target.is_symlink():  # still a link after `realpath`: a loop of links
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
        """Give the files their names, in the order in which they were opened, and sync their folders.

        `outdated` is deleted just before the first name appears, and stays if an earlier step fails. Raises
        DataError, naming the file, when a file cannot get its name.
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
    """Open a file that replaces `path` when the block ends, and is discarded if the block raises.

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
    """Return an unpredictable name in `folder`, short enough for every file system."""
    return folder / f".onmt-{secrets.token_hex(8)}.tmp"


def _stage(target: Path) -> _Staged:
    """Open a new file in the folder of `target`, without a name where the system supports that."""
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
        # Only with `src_dir_fd` does Python follow the link in /proc/self/fd instead of linking to the link.
        os.link(str(file.fileno()), path, src_dir_fd=descriptors, follow_symlinks=True)
    finally:
        os.close(descriptors)
    return path


def _flush_folder(folder: Path) -> None:
    """Sync the names in a folder to disk; does nothing on file systems that cannot do it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_NAME: Final = re.compile(r"(?P<stem>.*)_(?:checkpoint|epoch\d+_[^_]*)\.pt", re.DOTALL)


def saved_models(where: str | Path) -> list[Path]:
    """Return the models in the folder `where`, or else those of the training whose `-save_model` is `where`.

    These are the files `*_checkpoint.pt` and `*_epoch*.pt`, not `*_best.pt`. The newest comes first. The list
    is empty if the folder cannot be read.
    """
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
    """Return the other models of the training that saved this one, the newest first.

    The list is empty if `path` is not named like a model that training saves.
    """
    name = _NAME.fullmatch(Path(path).name)
    if name is None:
        return []
    return [other for other in saved_models(Path(path).with_name(name["stem"])) if other != Path(path)]
