#!/usr/bin/env python3
"""Preprocess, train and translate on the corpus of dates: `python tools/demo.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.demo import demo

    sys.exit(demo())
