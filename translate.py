#!/usr/bin/env python3
"""Translates a file with a trained model: `python translate.py -h`."""

import sys

from onmt.commands.translate import main

if __name__ == "__main__":
    sys.exit(main())
