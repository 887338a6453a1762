#!/usr/bin/env python3
"""Serves a translation model over HTTP: `python tools/rest_translation_server.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.servers import rest_translation_server

    sys.exit(rest_translation_server())
