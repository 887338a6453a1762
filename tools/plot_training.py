#!/usr/bin/env python3
"""Plots training curves from logs: `python tools/plot_training.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.pictures import plot_training

    sys.exit(plot_training())
