#!/usr/bin/env python3
"""Preprocess, train and translate on the corpus of dates: `python tools/demo.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.demo import main

    sys.exit(main())
