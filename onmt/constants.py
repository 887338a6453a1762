"""Ids of special words, and special characters, shared by all packages.

Ids are 0-based inside the program; vocabulary files and `.t7` models count from 1 as Lua does.
"""

from typing import Final

PAD: Final = 0
UNK: Final = 1
BOS: Final = 2
EOS: Final = 3

PAD_WORD: Final = "<blank>"
UNK_WORD: Final = "<unk>"
BOS_WORD: Final = "<s>"
EOS_WORD: Final = "</s>"

SPECIAL_WORDS: Final = (PAD_WORD, UNK_WORD, BOS_WORD, EOS_WORD)

FEATURE_MARKER: Final = "\uffe8"  # ￨ halfwidth forms light vertical, separates a word and its features
JOINER: Final = "\uffed"  # ￭ halfwidth black square, marks a token boundary where the text has no blank
PLACEHOLDER_OPEN: Final = "\uff5f"  # ｟
PLACEHOLDER_CLOSE: Final = "\uff60"  # ｠
PLACEHOLDER_VALUE: Final = "\uff1a"  # ： between a placeholder's name and its value
PLACEHOLDER_ESCAPE: Final = "\uff05"  # ％ before the four digits of an escaped character


VERSION: Final = "0.1.0"  # the only place: `--version`, the package and every checkpoint read it here
