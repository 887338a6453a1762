"""What a user may have meant."""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], mark: str = "-") -> str:
    """`; did you mean -x?`, with another `mark` before the name if given; nothing when no known name comes
    near.
    """
    from difflib import get_close_matches  # only needed when something went wrong

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {mark}{near[0]}?" if near else ""
