#!/usr/bin/env python3
"""Converts a model of OpenNMT Lua: `python tools/import_lua_model.py -h`."""

import sys
from os.path import dirname, realpath

sys.path[0] = dirname(dirname(realpath(__file__)))

from onmt.starting import hold_signals

if __name__ == "__main__":
    hold_signals()
    from onmt.commands.model_files import import_lua_model

    sys.exit(import_lua_model())
