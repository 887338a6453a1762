#!/usr/bin/env python3
"""Writes the corpus of dates: `python tools/generate_dates.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.generate_dates import main

    sys.exit(main())
