"""Translates character by character: `-hook_file examples/hooks/characters.py`.

For tools/tokenize.py and tools/detokenize.py, preprocess.py, train.py and translate.py alike. A blank of the
text becomes a token of its own.
"""

BLANK = "▁"


def tokenize(options, line):
    """The characters of a line; blanks and other white space are one `▁`."""
    return list(BLANK.join(line.split()))


def detokenize(options, words, features):
    """The line that these characters are the characters of."""
    return "".join(words).replace(BLANK, " ")
