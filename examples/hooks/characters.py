"""Cuts text into characters: `-hook_file examples/hooks/characters`, or with `-mode char` to say so.

For tools/tokenize.py and tools/detokenize.py, and with `-tok_src_mode` and `-tok_tgt_mode` for preprocess.py,
train.py and translate.py; the other modes work as always. A blank of the text becomes a token of its own.
"""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import option

BLANK = "▁"


def declareTokenizerOpts(options):  # noqa: N802 - the name of the hook
    """Add `char` to the modes, as the default."""

    @dataclass(frozen=True, kw_only=True)
    class CharacterOptions(options):
        """Characters"""

        mode: Literal["space", "conservative", "aggressive", "moses", "char"] = option(
            "char", "Where tokens end. `char`: around every character."
        )

    return CharacterOptions


def tokenize(options, line):
    """The characters of a line; blanks and other white space are one `▁`."""
    return list(BLANK.join(line.split())) if options.mode == "char" else None


def detokenize(options, words, features):
    """The line that these characters are the characters of."""
    return "".join(words).replace(BLANK, " ") if options.mode == "char" else None
