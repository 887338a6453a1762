"""Vocabularies in google/seq2seq's format: a word per line, a tab and its count perhaps."""

from itertools import islice
from pathlib import Path

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError


def read_vocabulary(path: str | Path) -> Vocabulary:
    """Read a vocabulary of OpenNMT Lua's format or of google/seq2seq's.

    Lua's has an index after each word and a blank between; a file without a blank in its first lines is a
    list of words. Raises DataError naming file and line.
    """
    try:
        with open(path, "rb") as file:
            first = b"".join(islice(file, len(SPECIAL_WORDS)))
    except OSError as error:
        raise DataError(f"{path}: cannot read the vocabulary: {error.strerror}") from error
    if not first:
        raise DataError(f"{path}: the vocabulary holds no words")
    return Vocabulary.read(path) if b" " in first or not first.strip() else read_word_list(path)


def read_word_list(path: str | Path) -> Vocabulary:
    """Read google/seq2seq's format. The special words come first, as everywhere here, not last.

    Empty lines and special words are passed over; counts are kept if every word has one. Raises DataError
    naming file and line.
    """
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot read the vocabulary: {error.strerror}") from error
    words: dict[str, int | None] = dict.fromkeys(SPECIAL_WORDS, 0)
    for number, line in enumerate(lines, start=1):
        word, count = _entry(line.removesuffix(b"\r"), f"{path}, line {number}")
        if not word or word in SPECIAL_WORDS:
            continue
        if word in words:
            raise DataError(f"{path}, line {number}: the word '{word}' appears twice")
        words[word] = count
    counts = [count for count in words.values() if count is not None]
    return Vocabulary(tuple(words), counts if len(counts) == len(words) else None)


def _entry(line: bytes, where: str) -> tuple[str, int | None]:
    try:
        word, tab, count = line.decode("utf-8").partition("\t")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}, byte offset {error.start}: not valid UTF-8") from error
    if not tab:
        return word, None
    if not (count.isascii() and count.isdigit() and len(count) < 19):
        found = f"{word}\t{count}"[:80]
        raise DataError(f"{where}: expected a word, or a word, a tab and its count, found {found!r}")
    return word, int(count)
