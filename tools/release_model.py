#!/usr/bin/env python3
"""Releases a model: `python tools/release_model.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.model_files import release_model

    sys.exit(release_model())
