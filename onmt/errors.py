"""Errors a user can cause: each ends in one line on stderr. Anything else is a bug and shows a traceback."""

from typing import Final

_OUT_OF_MEMORY: Final = (
    "can't allocate memory",
    "Cannot allocate memory",
    "Storage size calculation overflowed",
    "Overflow when unpacking long",  # TypeError for a size above 64 bits
    "Maximum allowed dimension exceeded",  # numpy's ValueError
    "failed to map segment",  # ImportError of a library that does not fit into memory
    "out of memory",  # CUDA's own calls, for GPU memory
    "_ALLOC_FAILED",  # status codes of CUDA's libraries
)


class OnmtError(Exception):
    """An error that a user can cause; its message says in one line what is wrong, where, and what to do."""

    exit_code = 1


class OptionError(OnmtError):
    """An option on the command line or in a configuration file that is unknown, unusable or contradictory."""

    exit_code = 2


class DataError(OnmtError):
    """A data file that is missing, unreadable or malformed; the message names file and line."""


class CheckpointError(OnmtError):
    """A model file that is missing, damaged, or of the wrong kind."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, torch, CUDA or a CUDA library ran out of memory. Does not import torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    message = str(error)
    kinds = (RuntimeError, TypeError, ValueError, ImportError)
    return isinstance(error, kinds) and any(words in message for words in _OUT_OF_MEMORY)
