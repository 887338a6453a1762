"""The first step of every program: hold signals, so that none ends it in the middle of an import."""

_signal = __import__(
    "_signal"
)  # builtin; importing `signal` takes milliseconds in which Ctrl-C would show a traceback


def hold_signals() -> None:
    """Only remember signals from now on; `onmt.commandline.run` acts on them."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until `install`, Ctrl-C ends the program at once
    from onmt.signals import SignalHandler

    SignalHandler(held=True).install()
