#!/usr/bin/env python3
"""Tags the positions of sentences with a trained sequence tagger: `python tools/tag.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.pipeline import tag

    sys.exit(tag())
