#!/usr/bin/env python3
"""Serves a model over ZeroMQ: `python tools/translation_server.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.commands.translation_server import main

if __name__ == "__main__":
    sys.exit(main())
