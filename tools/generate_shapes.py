#!/usr/bin/env python3
"""Writes images of shapes with captions: `python tools/generate_shapes.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.demo import generate_shapes

    sys.exit(generate_shapes())
