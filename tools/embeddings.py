#!/usr/bin/env python3
"""Picks pretrained word vectors for a vocabulary: `python tools/embeddings.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.word_vectors import embeddings

    sys.exit(embeddings())
