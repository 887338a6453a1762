#!/usr/bin/env python3
"""Puts tokens together again: `python tools/detokenize.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.commands.detokenize import main

if __name__ == "__main__":
    sys.exit(main())
