"""Errors a user can cause: each ends in one line on stderr. Anything else is a bug and shows a traceback."""


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
