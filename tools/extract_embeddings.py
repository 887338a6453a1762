#!/usr/bin/env python3
"""Writes the word vectors of a model: `python tools/extract_embeddings.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.extract_embeddings import main

    sys.exit(main())
