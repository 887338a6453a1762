#!/usr/bin/env python3
"""Serves several models over HTTP, each loaded when it is needed: `python tools/rest_multi_models.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.servers import rest_multi_models

    sys.exit(rest_multi_models())
