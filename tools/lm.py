#!/usr/bin/env python3
"""Scores sentences with a language model, or continues them: `python tools/lm.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.pipeline import lm

    sys.exit(lm())
