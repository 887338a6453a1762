"""A command line that translates with a small random model, and the lines of its log."""

import re

TRANSLATE = ["-model", "words.pt", "-src", "src", "-max_sent_length", "5"]
STAMP = re.compile(r"^\[\S+ \S+ ")


def log_of(text: str) -> list[str]:
    """The lines of a log, without their time stamps."""
    return [STAMP.sub("", line) for line in text.splitlines()]
