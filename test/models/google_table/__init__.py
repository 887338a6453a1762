"""The parameters of google/seq2seq, one row each, taken from its sources and not from the code under test.

Most `cell_params` are tested in test_google_cells.py; the table only has the two that every LSTM has.
"""

from .class_rows import CLASSES
from .model_rows import MODEL_BASE, SEQ2SEQ
from .names import NAMES
from .part_rows import DECODERS, OTHER_ENCODERS, RECURRENT
from .row import BASE, Row

ROWS = [*MODEL_BASE, *SEQ2SEQ, *CLASSES, *RECURRENT, *DECODERS, *OTHER_ENCODERS]

__all__ = ["BASE", "NAMES", "ROWS", "Row"]
