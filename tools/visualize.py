#!/usr/bin/env python3
"""Shows attention and search on a page: `python tools/visualize.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.signals import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.visualize import main

    sys.exit(main())
