#!/usr/bin/env python3
"""Serves several models over HTTP, each loaded when it is needed: `python tools/rest_multi_models.py -h`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from onmt.commands.rest_multi_models import main

if __name__ == "__main__":
    sys.exit(main())
