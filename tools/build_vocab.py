#!/usr/bin/env python3
"""Builds vocabularies: `python tools/build_vocab.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.text import build_vocab

    sys.exit(build_vocab())
