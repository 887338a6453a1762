"""Cuts text into characters: `-hook_file examples/hooks/characters`, with the new default `-mode char`.

Works with tools/tokenize.py and tools/detokenize.py, and through `-tok_src_mode` and `-tok_tgt_mode` with
preprocess.py, train.py and translate.py. The other modes stay as they are. Each blank becomes a token.
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
    """Return the characters of a line; a run of white space becomes one `▁`."""
    return list(BLANK.join(line.split())) if options.mode == "char" else None


def detokenize(options, words, features):
    """Return the line that consists of these characters."""
    return "".join(words).replace(BLANK, " ") if options.mode == "char" else None
