"""From a line to tokens and features, and back; `TextPipeline` does both for a translator of raw text."""

import re
import threading
from collections.abc import Sequence
from typing import Final

from onmt.constants import FEATURE_MARKER, JOINER
from onmt.errors import DataError
from onmt.hooks import NO_HOOKS, TokenizerHooks
from onmt.text.bpe import Bpe, read_bpe_model
from onmt.text.characters import has_placeholder, separators, unprotect_placeholders
from onmt.text.lines import split_features, split_words
from onmt.text.options import SegmentationOptions, TokenizerOptions
from onmt.text.words import Moses, WordSegmenter, case_of, lower, restore_case, segment_case

_NOT_SEPARATORS: Final = re.compile(f"[^{re.escape(separators())}]+")

# Words repeat, so their tokens are cached: a limited number of them, and none of very long words.
_CACHE_SIZE: Final = 1 << 18
_LONGEST_CACHED: Final = 64


class Tokenizer:
    """Cuts lines into tokens: words, then parts of one case, then subwords; last, case becomes a feature.

    Words are cut into subwords if there is a `bpe`.
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
        """The tokenizer of these options, with their `-bpe_model`. DataError when that is no BPE model."""
        return cls(options, Bpe(read_bpe_model(options)) if options.bpe_model else None, hooks)

    def tokenize(self, line: str) -> list[str]:
        """The tokens of a line, features attached (`word￨feature`)."""
        if self._hooks.tokenize is not None:
            hooked = self._hooks.tokenize(line)
            if hooked is not None:
                return self._finish(hooked)
        if self._moses is not None:
            words = self._moses.tokenize(line)
        elif self._words is None:
            words = split_words(line)
        elif has_placeholder(line):  # what stands inside a placeholder separates nothing
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
        """Everything that comes after cutting a line into words."""
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
        """A token as the joiner before it, the word, and the joiner after it."""
        joiner = self._joiner
        if not self._glues_joiners:
            return "", token, ""
        word = token.removeprefix(joiner)
        before = token[: len(token) - len(word)]
        word = word.removesuffix(joiner)
        return before, word, token[len(before) + len(word) :]


class Detokenizer:
    """Puts tokens together: at joiners without a blank, elsewhere with one.

    case_feature: the first feature of every token is its case, which the words get back.
    moses_language: the words are joined by the rules of Moses for this language; if empty, by blanks.
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
        """The detokenizer that undoes what a tokenizer with these options does."""
        language = options.moses_language if options.mode == "moses" else ""
        return cls(options.joiner, options.case_feature, language, hooks.of_side(options))

    def detokenize(self, tokens: Sequence[str]) -> str:
        """The line that the tokens make; DataError for a token without the case feature it should have."""
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
        """The word of a token, its features, and whether it joins what stands before and after it."""
        word, *features = token.split(FEATURE_MARKER)
        joins_previous = word.startswith(self._joiner)
        if joins_previous:
            word = word.removeprefix(self._joiner)
        joins_next = word.endswith(self._joiner) or (joins_previous and not word)
        return word.removesuffix(self._joiner), features, joins_previous, joins_next

    def _text(self, word: str, features: list[str]) -> str:
        """The word as it was in the text."""
        if self._moses is None:  # Moses must not see the blanks inside a placeholder
            word = unprotect_placeholders(word)
        if not self._case_feature:
            return word
        if not features:
            raise DataError(f"the token '{word[:40]}' has no case feature")
        return restore_case(word, features[0])


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
