#!/usr/bin/env python3
"""Scores translations: `python tools/score.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.commands.score import main

if __name__ == "__main__":
    sys.exit(main())
