#!/usr/bin/env python3
"""Builds vocabularies: `python tools/build_vocab.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.commands.build_vocab import main

if __name__ == "__main__":
    sys.exit(main())
