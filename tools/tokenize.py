#!/usr/bin/env python3
"""Cuts text into tokens: `python tools/tokenize.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.commands.tokenize import main

if __name__ == "__main__":
    sys.exit(main())
