"""A training that a signal ends: the step is finished, a checkpoint saved."""

from onmt.errors import OnmtError


class Interrupted(OnmtError):  # noqa: N818 - nothing went wrong: the user asked to stop
    """Training was stopped by a signal, after saving; ends the process with the exit code shells expect."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
