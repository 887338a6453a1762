"""A name that one process of a machine can hold at a time."""

import errno
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from onmt.errors import OnmtError


@contextmanager
def claimed(path: str, what: str) -> Iterator[None]:
    """Hold the name `path` until the block ends. Raises OnmtError, naming `what`, while another process does.

    The claim is an abstract socket: it leaves no file and ends with its process, however that ends. Where the
    system has none (anywhere but on Linux), and on other machines of a cluster, nothing is claimed.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    name = hashlib.sha256(os.path.realpath(path).encode("utf-8", "surrogateescape")).hexdigest()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
        try:
            holder.bind(f"\0onmt-{name}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                yield
                return
            raise OnmtError(
                f"{what} {path}: another training writes models of this name; wait for its end, or choose "
                "another name"
            ) from None
        yield
