#!/usr/bin/env python3
"""Draws trainings: `python tools/plot_training.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.plot_training import main

    sys.exit(main())
