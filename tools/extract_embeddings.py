#!/usr/bin/env python3
"""Writes the word vectors of a model: `python tools/extract_embeddings.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.word_vectors import extract_embeddings

    sys.exit(extract_embeddings())
