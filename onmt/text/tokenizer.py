"""Tokenization of lines into tokens with features, and detokenization; `TextPipeline` combines the two."""

import re
import threading
from collections.abc import Sequence
from typing import Final

from onmt.constants import FEATURE_MARKER, JOINER
from onmt.errors import DataError
from onmt.hooks import NO_HOOKS, TokenizerHooks
from onmt.text.bpe import Bpe, read_bpe_model
from onmt.text.characters import separators
from onmt.text.lines import has_placeholder, split_features, split_words, unescape_placeholders
from onmt.text.options import SegmentationOptions, TokenizerOptions
from onmt.text.words import Moses, WordSegmenter, case_of, lower, restore_case, segment_case

_NOT_SEPARATORS: Final = re.compile(f"[^{re.escape(separators())}]+")

# Words repeat, so their tokens are cached. Both limits bound the memory of the cache.
_CACHE_SIZE: Final = 1 << 18
_LONGEST_CACHED: Final = 64


class Tokenizer:
    """Cuts lines into words, then words where their case changes, then into subwords if there is a `bpe`.

    In the end, case becomes a feature. `options` decide which of these steps are done.
    """

    def __init__(
        self, options: SegmentationOptions, bpe: Bpe | None = None, hooks: TokenizerHooks = NO_HOOKS
    ) -> None:
        self._options = options
        self._hooks = hooks.of_side(options)
        self._joiner = options.joiner if options.joiner_annotate else ""
        self._glues_joiners = options.joiner_annotate and not options.joiner_new
        self._words = WordSegmenter(options) if options.mode in ("conservative", "aggressive") else None
        self._moses = Moses(options.moses_language) if options.mode == "moses" else None
        self._bpe = bpe
        self._cache: dict[str, list[str]] = {}

    @classmethod
    def of(cls, options: TokenizerOptions, hooks: TokenizerHooks = NO_HOOKS) -> "Tokenizer":
        """Return the tokenizer of these options, with their `-bpe_model`.

        Raises DataError when the model cannot be read or is not a BPE model.
        """
        return cls(options, Bpe(read_bpe_model(options)) if options.bpe_model else None, hooks)

    def tokenize(self, line: str) -> list[str]:
        """Return the tokens of a line, features attached (`word￨feature`)."""
        if self._hooks.tokenize is not None:
            hooked = self._hooks.tokenize(line)
            if hooked is not None:
                return self._finish(hooked)
        if self._moses is not None:
            words = self._moses.tokenize(line)
        elif self._words is None:
            words = split_words(line)
        elif has_placeholder(line):  # separators inside a placeholder do not end a token
            return self._finish(self._process(self._words.segment(line)))
        else:
            words = _NOT_SEPARATORS.findall(line)
        tokens: list[str] = []
        for word in words:
            tokens += self._cache.get(word) or self._tokens_of_word(word)
        return self._finish(tokens)

    def _finish(self, tokens: list[str]) -> list[str]:
        if self._hooks.post_tokenize is None:
            return tokens
        hooked = self._hooks.post_tokenize(tokens)
        return tokens if hooked is None else hooked

    def _tokens_of_word(self, word: str) -> list[str]:
        tokens = self._process([word] if self._words is None else self._words.segment(word))
        if len(word) <= _LONGEST_CACHED:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[word] = tokens
        return tokens

    def _process(self, tokens: list[str]) -> list[str]:
        """Apply the steps that follow segmentation into words."""
        if self._options.segment_case:
            tokens = [part for token in tokens for part in self._segment_case(token)]
        if self._bpe is not None:
            tokens = [part for token in tokens for part in self._segment_subwords(token, self._bpe)]
        if self._options.case_feature:
            tokens = [f"{lower(token)}{FEATURE_MARKER}{case_of(token)}" for token in tokens]
        return tokens

    def _segment_case(self, token: str) -> list[str]:
        # The joiner becomes part of the token even with -joiner_new, as in the original.
        *parts, last = segment_case(token)
        return [*(part + self._joiner for part in parts), last]

    def _segment_subwords(self, token: str, bpe: Bpe) -> list[str]:
        if has_placeholder(token):
            return [token]
        before, word, after = self._split_joiners(token)
        parts = bpe.segment(word)
        parts[0] = before + parts[0]
        parts[-1] += after
        if self._glues_joiners:
            return [*(part + self._joiner for part in parts[:-1]), parts[-1]]
        if self._joiner:
            return [token for part in parts for token in (part, self._joiner)][:-1]
        return parts

    def _split_joiners(self, token: str) -> tuple[str, str, str]:
        """Split a token into the joiner before it, the word, and the joiner after it."""
        joiner = self._joiner
        if not self._glues_joiners:
            return "", token, ""
        word = token.removeprefix(joiner)
        before = token[: len(token) - len(word)]
        word = word.removesuffix(joiner)
        return before, word, token[len(before) + len(word) :]


class Detokenizer:
    """Joins tokens to a line: without a blank at joiners, with a blank elsewhere.

    case_feature: the first feature of every token is its case, which is restored.
    moses_language: the line is detokenized by the Moses rules of this language; empty: it is not.
    """

    def __init__(
        self,
        joiner: str = JOINER,
        case_feature: bool = False,
        moses_language: str = "",
        hooks: TokenizerHooks = NO_HOOKS,
    ) -> None:
        self._joiner = joiner
        self._case_feature = case_feature
        self._moses = Moses(moses_language) if moses_language else None
        self._hooks = hooks

    @classmethod
    def of(cls, options: TokenizerOptions, hooks: TokenizerHooks = NO_HOOKS) -> "Detokenizer":
        """Return the inverse of a tokenizer with these options."""
        language = options.moses_language if options.mode == "moses" else ""
        return cls(options.joiner, options.case_feature, language, hooks.of_side(options))

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Return the line for these tokens.

        Raises DataError for a token without a feature if `case_feature` is set.
        """
        if self._hooks.detokenize is not None:
            hooked = self._hooks.detokenize(*split_features(tokens))
            if hooked is not None:
                return hooked
        pieces: list[str] = []
        joined = True  # nothing stands before the first token
        for token in tokens:
            word, features, joins_previous, joins_next = self._analyse(token)
            if not (joined or joins_previous):
                pieces.append(" ")
            pieces.append(self._text(word, features))
            joined = joins_next
        line = "".join(pieces)
        return line if self._moses is None else self._moses.detokenize(line.split(" "))

    def _analyse(self, token: str) -> tuple[str, list[str], bool, bool]:
        """Return a token's word, its features, and whether it joins the previous and the next token."""
        word, *features = token.split(FEATURE_MARKER)
        joins_previous = word.startswith(self._joiner)
        if joins_previous:
            word = word.removeprefix(self._joiner)
        joins_next = word.endswith(self._joiner) or (joins_previous and not word)
        return word.removesuffix(self._joiner), features, joins_previous, joins_next

    def _text(self, word: str, features: list[str]) -> str:
        """Return the word with its case restored and its placeholders unprotected."""
        if self._moses is None:  # Moses must not see the blanks inside a placeholder
            word = unescape_placeholders(word)
        if not self._case_feature:
            return word
        if not features:
            raise DataError(f"the token '{word[:40]}' has no case feature")
        return restore_case(word, features[0])


_WHITE_SPACE: Final = str.maketrans("\t\n\v\f\r", "     ")
TOKENS: Final = TokenizerOptions(mode="space")
"""Options for lines that are tokenized already: split at blanks."""


class TextPipeline:
    """Tokenizes sources and detokenizes translations of raw text; may be called from several threads.

    source, target: options of the two sides' tokenizers; with `target` None, translations are returned as
    tokens joined by blanks. Raises DataError when a BPE model cannot be read, and the errors of hooks.
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
        """Whether `text` expects translations to have their case as a word feature."""
        self._detokenizer = None if target is None else Detokenizer.of(target, hooks)
        self._lock = threading.Lock()  # hooks are the user's code and may not be thread-safe

    def source_tokens(self, line: str, labels: Sequence[str] = ()) -> list[str]:
        """Return the tokens of a line; `labels` are appended to each as further word features.

        Tabs and line breaks count as blanks. Raises DataError for a line that is not valid Unicode, and for
        labels that contain a blank or the feature marker.
        """
        tokens = self._tokens(line, self._tokenizer)
        if any(FEATURE_MARKER in label or " " in label for label in labels):
            raise DataError(f"a feature holds a blank or '{FEATURE_MARKER}'")
        added = "".join(f"{FEATURE_MARKER}{label}" for label in labels if label)
        return [token + added for token in tokens]

    def target_tokens(self, line: str) -> list[str]:
        """Return the tokens of a given translation; line breaks and errors are as in `source_tokens`."""
        return self._tokens(line, self._target_tokenizer)

    def text(self, tokens: Sequence[str]) -> str:
        """Return the text of a translation, given as tokens with their features attached."""
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
    """Raise DataError for half of a surrogate pair: JSON can contain it, but UTF-8 cannot."""
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"the text is not valid Unicode at character {error.start + 1}") from None
