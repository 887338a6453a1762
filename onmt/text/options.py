"""Options of the tokenizer, for tools/tokenize.py and for on-the-fly tokenization."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from onmt.commandline.declare import existing_file_or_empty, group, not_empty, option
from onmt.constants import JOINER
from onmt.errors import OptionError

BEGIN_OF_TOKEN: Final = "<w>"
END_OF_TOKEN: Final = "</w>"

ScriptName = Literal[
    "Arabic",
    "Armenian",
    "Bengali",
    "Bopomofo",
    "Braille",
    "Buhid",
    "Cherokee",
    "Cyrillic",
    "Devanagari",
    "Ethiopic",
    "Georgian",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hanunoo",
    "Hebrew",
    "Hiragana",
    "Kanbun",
    "Kangxi",
    "Kannada",
    "Katakana",
    "Khmer",
    "Lao",
    "Latin",
    "Limbu",
    "Malayalam",
    "Mongolian",
    "Myanmar",
    "Ogham",
    "Oriya",
    "Sinhala",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Tamil",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Yi",
]

BpeMode = Literal["suffix", "prefix", "both", "none"]


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions:
    """Tokenizer"""

    mode: Literal["space", "conservative", "aggressive", "moses"] = option(
        "conservative",
        "Where tokens end. `space`: only at blanks. `conservative`: also around punctuation, but numbers and "
        'words with inner marks stay whole, as in "2,000", "E65", "soft-landing". `aggressive`: wherever '
        "letters, numbers and other characters meet. `moses`: by the rules of Moses for -moses_language.",
    )
    joiner_annotate: bool = option(
        False, "Mark with -joiner where the text has no blank, so that it can be put together again."
    )
    joiner: str = option(JOINER, "The mark of -joiner_annotate.", valid=not_empty)
    joiner_new: bool = option(False, "Joiners are tokens by themselves instead of parts of their neighbours.")
    case_feature: bool = option(
        False,
        "Write words in lower case, with their case as a feature: `L` lower, `U` upper, `C` capitalized, "
        "`M` mixed, `N` none.",
    )
    segment_case: bool = option(
        False,
        "Cut words where their case changes, `WiFi` into `Wi` and `Fi`, so that -case_feature loses nothing.",
    )
    segment_alphabet: tuple[ScriptName, ...] = option(
        (), "Scripts of which every letter is a token (not with -mode space or moses)."
    )
    segment_numbers: bool = option(False, "Every digit is a token (with -mode aggressive).")
    segment_alphabet_change: bool = option(
        False, "Cut words where the script changes (not with -mode space or moses)."
    )
    moses_language: str = option(
        "en", "Two-letter code of the language whose rules -mode moses follows.", valid=not_empty
    )


@dataclass(frozen=True, kw_only=True)
class BpeOptions:
    """Tokenizer"""

    bpe_model: str = option(
        "",
        "Cut words into the subwords of this file, from tools/learn_bpe.py, OpenNMT-Lua or subword-nmt.",
        valid=existing_file_or_empty,
    )
    bpe_eot_marker: str = option(
        END_OF_TOKEN,
        "Marks the end of a word in a -bpe_model that does not say so itself.",
        flag="bpe_EOT_marker",
    )
    bpe_bot_marker: str = option(
        BEGIN_OF_TOKEN,
        "Marks the beginning of a word in a -bpe_model that does not say so itself.",
        flag="bpe_BOT_marker",
    )
    bpe_case_insensitive: bool = option(
        False,
        "Find subwords whatever the case of the letters; they keep their case. "
        "Only for a -bpe_model that does not say so itself.",
    )
    bpe_mode: Literal["suffix", "prefix", "both", "none"] = option(
        "suffix",
        "Which ends of words the -bpe_model marks, if it does not say so itself: the end (`suffix`), the "
        "beginning (`prefix`), `both` or `none`.",
    )


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions(SegmentationOptions, BpeOptions):
    """Tokenizer"""

    def check(self) -> None:
        """Refuse a BPE model from standard input."""
        if self.bpe_model == "-":
            raise OptionError("-bpe_model: standard input carries the text; give the name of a file")


def on_the_fly(prefix: str) -> Any:
    """Declare the tokenizer's options under a prefix; by default, text is cut at blanks only."""
    return group(TokenizerOptions, prefix=prefix, defaults={"mode": "space"})
