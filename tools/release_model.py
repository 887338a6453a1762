#!/usr/bin/env python3
"""Releases a model: `python tools/release_model.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.release_model import main

    sys.exit(main())
