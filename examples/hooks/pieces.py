"""Segments text with a SentencePiece model.

`-hook_file examples/hooks/pieces.py -piece_model FILE`

Needs the package `sentencepiece`.
"""

from dataclasses import dataclass
from functools import cache

import sentencepiece

from onmt.commandline.declare import existing_file, option


def declareOpts(options):  # noqa: N802 - the name of the hook
    """Add `-piece_model` to the options of the script."""

    @dataclass(frozen=True, kw_only=True)
    class PieceOptions(options):
        """Pieces"""

        piece_model: str = option("", "The SentencePiece model.", required=True, valid=existing_file)

    return PieceOptions


@cache
def load(path):
    """Read the model once."""
    return sentencepiece.SentencePieceProcessor(model_file=path)


def tokenize(options, line):
    """Return the pieces of a line."""
    return load(options.piece_model).encode(line, out_type=str)


def detokenize(options, words, features):
    """Return the line that consists of these pieces."""
    return load(options.piece_model).decode(words)
