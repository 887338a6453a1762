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
        "How text is split into tokens. `space`: only at blanks. `conservative`: also around punctuation, "
        'but numbers and words with inner punctuation stay whole, as in "2,000", "E65", "soft-landing". '
        "`aggressive`: wherever letters, numbers and other characters meet. `moses`: by the Moses rules for "
        "-moses_language.",
    )
    joiner_annotate: bool = option(
        False,
        "Insert -joiner where tokens are not separated by a blank in the text, so that it can be "
        "detokenized.",
    )
    joiner: str = option(JOINER, "Joiner that -joiner_annotate inserts.", valid=not_empty)
    joiner_new: bool = option(
        False, "Make joiners separate tokens instead of attaching them to their neighbours."
    )
    case_feature: bool = option(
        False,
        "Lowercase words and add their case as a feature: `L` lower, `U` upper, `C` capitalized, `M` mixed, "
        "`N` none.",
    )
    segment_case: bool = option(
        False,
        "Split words where their case changes (`WiFi` into `Wi` and `Fi`), so that -case_feature loses no "
        "information.",
    )
    segment_alphabet: tuple[ScriptName, ...] = option(
        (), "Scripts whose letters are tokens of their own (not with -mode space or moses)."
    )
    segment_numbers: bool = option(False, "Split numbers into digits (with -mode aggressive).")
    segment_alphabet_change: bool = option(
        False, "Split words where the script changes (not with -mode space or moses)."
    )
    moses_language: str = option("en", "Two-letter code of the language for -mode moses.", valid=not_empty)


@dataclass(frozen=True, kw_only=True)
class BpeOptions:
    """Tokenizer"""

    bpe_model: str = option(
        "",
        "BPE model that splits words into subwords: a file from tools/learn_bpe.py, OpenNMT Lua or "
        "subword-nmt.",
        valid=existing_file_or_empty,
    )
    bpe_eot_marker: str = option(
        END_OF_TOKEN,
        "Marker of the end of a word, if the header of -bpe_model does not set it.",
        flag="bpe_EOT_marker",
    )
    bpe_bot_marker: str = option(
        BEGIN_OF_TOKEN,
        "Marker of the beginning of a word, if the header of -bpe_model does not set it.",
        flag="bpe_BOT_marker",
    )
    bpe_case_insensitive: bool = option(
        False,
        "Ignore case in the search for subwords, which keep their case; applies if the header of -bpe_model "
        "does not set it.",
    )
    bpe_mode: Literal["suffix", "prefix", "both", "none"] = option(
        "suffix",
        "Word boundaries that the -bpe_model marks, if its header does not set them: the end (`suffix`), "
        "the beginning (`prefix`), `both` or `none`.",
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
