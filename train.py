"""Trains a model; see `train.py -h`."""

import sys

from onmt.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
