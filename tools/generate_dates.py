#!/usr/bin/env python3
"""Writes the corpus of dates: `python tools/generate_dates.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.demo import generate_dates

    sys.exit(generate_dates())
