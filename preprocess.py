#!/usr/bin/env python3
"""Turn text into a data set for train.py; see -h."""

import sys

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.pipeline import preprocess

    sys.exit(preprocess())
