"""What a user may have meant."""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean -x?`, or nothing when no known flag comes near."""
    from difflib import get_close_matches  # only needed when something went wrong

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean -{near[0]}?" if near else ""
