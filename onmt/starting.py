"""The first thing that a program does: see to it that signals do not end it in the middle of an import."""

_signal = __import__(
    "_signal"
)  # builtin; `signal` itself takes milliseconds, in which Ctrl-C shows a traceback


def hold_signals() -> None:
    """Remember signals from now on; `onmt.commandline.run` acts on them."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # up to the next line, Ctrl-C ends the program at once
    from onmt.signals import SignalHandler

    SignalHandler(held=True).install()
