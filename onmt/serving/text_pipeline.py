"""From a line of text to tokens and back, as the options of one model say. Torch-free."""

import threading
from collections.abc import Sequence
from typing import Final

from onmt.constants import FEATURE_MARKER
from onmt.errors import DataError
from onmt.text.hooks import NO_HOOKS, TokenizerHooks
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Detokenizer, Tokenizer

_WHITE_SPACE: Final = str.maketrans("\t\n\v\f\r", "     ")
TOKENS: Final = TokenizerOptions(mode="space")
"""How lines are cut that are tokens already."""


class TextPipeline:
    """Tokenizes sources and detokenizes translations; may be called from several threads.

    source, target: the tokenizers of the two sides; `target` None leaves translations as tokens joined by
    blanks. Raises DataError when a BPE model cannot be read, and what hooks raise.
    """

    def __init__(
        self,
        source: TokenizerOptions = TOKENS,
        target: TokenizerOptions | None = None,
        hooks: TokenizerHooks = NO_HOOKS,
    ) -> None:
        self._hooks = hooks
        self._tokenizer = Tokenizer.of(source, hooks)
        self._target_tokenizer = Tokenizer.of(target or TOKENS, hooks)
        self.restores_case = target is not None and target.case_feature
        """Translations must come with their case as a word feature."""
        self._detokenizer = None if target is None else Detokenizer.of(target, hooks)
        self._lock = threading.Lock()  # hooks are the user's code and need not be safe

    def source_tokens(self, line: str, labels: Sequence[str] = ()) -> list[str]:
        """The tokens of a line, each with these word features behind those that the tokenizer makes.

        Tabs and line breaks count as blanks. Raises DataError for a text that is no valid Unicode, and for
        labels that are no features.
        """
        tokens = self._tokens(line, self._tokenizer)
        if any(FEATURE_MARKER in label or " " in label for label in labels):
            raise DataError(f"a feature holds a blank or '{FEATURE_MARKER}'")
        added = "".join(f"{FEATURE_MARKER}{label}" for label in labels if label)
        return [token + added for token in tokens]

    def target_tokens(self, line: str) -> list[str]:
        """The tokens of a given translation; line breaks and errors as for sources."""
        return self._tokens(line, self._target_tokenizer)

    def text(self, tokens: Sequence[str]) -> str:
        """The text that the tokens of a translation make, features attached."""
        if self._detokenizer is None:
            return " ".join(tokens)
        with self._lock:
            return self._detokenizer.detokenize(tokens)

    def _tokens(self, line: str, tokenizer: Tokenizer) -> list[str]:
        _check_unicode(line)
        with self._lock:
            [line] = self._hooks.preprocessed([line.translate(_WHITE_SPACE)])
            return tokenizer.tokenize(line)


def _check_unicode(line: str) -> None:
    """Raise DataError for half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"the text is no valid Unicode at character {error.start + 1}") from None
