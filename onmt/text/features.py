"""Words with features: `word￨feature1￨feature2`."""

from collections.abc import Sequence

from onmt.constants import FEATURE_MARKER
from onmt.errors import DataError


def split_features(tokens: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Take tokens apart into words and, per feature, the values of all words.

    Tokens with an empty word part are left out. Raises DataError when words have different numbers of
    features; the message does not say where, the caller knows.
    """
    if not any(FEATURE_MARKER in token for token in tokens):
        return [token for token in tokens if token], []
    rows = [parts for parts in (token.split(FEATURE_MARKER) for token in tokens) if parts[0]]
    if not rows:
        return [], []
    count = len(rows[0]) - 1
    for parts in rows:
        if len(parts) - 1 != count:
            raise DataError(
                "all words of a sentence must have the same number of features, but "
                f"'{rows[0][0]}' has {count} and '{parts[0]}' has {len(parts) - 1}"
            )
    words, *features = zip(*rows, strict=True)
    return list(words), [list(values) for values in features]


def join_features(words: Sequence[str], features: Sequence[Sequence[str]]) -> list[str]:
    """Put words and features together; `features` holds one sequence per feature, as long as `words`."""
    return [FEATURE_MARKER.join(parts) for parts in zip(words, *features, strict=True)]


def without_features(token: str) -> str:
    """The word of a token."""
    return token.partition(FEATURE_MARKER)[0]
