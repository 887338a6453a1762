"""Errors a user can cause: each ends in one line on stderr. Anything else is a bug and shows a traceback."""

from typing import Final

_OUT_OF_MEMORY: Final = (
    "can't allocate memory",
    "Cannot allocate memory",
    "Storage size calculation overflowed",
    "Overflow when unpacking long",  # a size above 64 bits, told by a TypeError
    "Maximum allowed dimension exceeded",  # numpy's, by a ValueError
    "failed to map segment",  # a library that finds no room, by an ImportError
    "out of memory",  # of a GPU, by CUDA's own calls
    "_ALLOC_FAILED",  # and by its libraries
)


class OnmtError(Exception):
    """What a user can cause: the message says what is wrong, where, and what to do, in one line."""

    exit_code = 1


class OptionError(OnmtError):
    """A command line or configuration file that asks for what does not exist or does not fit together."""

    exit_code = 2


class DataError(OnmtError):
    """A data file that is missing, unreadable or malformed; the message names file and line."""


class CheckpointError(OnmtError):
    """A model file that is missing, damaged, or not what is needed."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch, CUDA or one of its libraries found no memory. Does not import torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    message = str(error)
    kinds = (RuntimeError, TypeError, ValueError, ImportError)
    return isinstance(error, kinds) and any(words in message for words in _OUT_OF_MEMORY)
