#!/usr/bin/env python3
"""Turn text into a data set for train.py; see -h."""

import sys

from onmt.commands.preprocess import main

if __name__ == "__main__":
    sys.exit(main())
