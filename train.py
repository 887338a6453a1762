"""Trains a model; see `train.py -h`."""

import sys

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.pipeline import train

    sys.exit(train())
