#!/usr/bin/env python3
"""Translates a file with a trained model: `python translate.py -h`."""

import sys

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.pipeline import translate

    sys.exit(translate())
