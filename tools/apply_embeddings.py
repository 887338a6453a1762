#!/usr/bin/env python3
"""Writes a text as sequences of word vectors: `python tools/apply_embeddings.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.word_vectors import apply_embeddings

    sys.exit(apply_embeddings())
