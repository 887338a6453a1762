#!/usr/bin/env python3
"""Writes images of shapes with captions: `python tools/generate_shapes.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.generate_shapes import main

    sys.exit(main())
