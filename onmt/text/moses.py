"""The Moses tokenizer and detokenizer, by sacremoses, with this toolkit's markers kept safe."""

import re
from collections.abc import Sequence
from typing import Final

from onmt.constants import FEATURE_MARKER, JOINER
from onmt.text.placeholders import PLACEHOLDER, protect, unprotect_placeholders

_MARKERS: Final = str.maketrans({JOINER: "■", FEATURE_MARKER: "│"})


class Moses:
    """Cuts lines by the rules of one language, and joins them again.

    language: two-letter code; a language that sacremoses has no rules for is treated as English.
    """

    def __init__(self, language: str) -> None:
        import sacremoses  # here, because it takes a third of a second to load and few runs need it

        self._tokenizer = sacremoses.MosesTokenizer(lang=language)
        self._detokenizer = sacremoses.MosesDetokenizer(lang=language)

    def tokenize(self, line: str) -> list[str]:
        """The words of a line. Placeholders stay whole; elsewhere, lookalikes replace the marks of tokens."""
        parts = re.split(f"({PLACEHOLDER.pattern})", line)
        parts[::2] = [part.translate(_MARKERS) for part in parts[::2]]
        parts[1::2] = [protect(part) for part in parts[1::2]]
        words: list[str] = self._tokenizer.tokenize(
            "".join(parts), escape=False, protected_patterns=[PLACEHOLDER.pattern]
        )
        return words

    def detokenize(self, words: Sequence[str]) -> str:
        """The line that these words are the words of, as far as the rules tell."""
        line: str = self._detokenizer.detokenize(list(words), unescape=False)
        return unprotect_placeholders(line)
