"""Files of pretrained word vectors: word2vec, binary and text, and GloVe.

A word2vec file begins with a line `words dimension`. The binary format continues with each word, a blank and
its vector as 32-bit little-endian numbers; the text format has one line per word. GloVe is the text format
without the first line.
"""

import mmap
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from onmt.errors import DataError

Format = Literal["word2vec-bin", "word2vec-txt", "glove"]
Vector = npt.NDArray[np.float32]

_COUNT: Final = re.compile(rb"[0-9]{1,18}")

# A longer word in a binary file means that the file has another format.
_LONGEST_WORD: Final = 10_000


class WordVectorFile:
    """Reads the words and vectors of a file one by one.

    Raises DataError for a file that cannot be read or does not have the given format.
    """

    def __init__(self, path: str, format: Format) -> None:
        self._path = path
        self._format = format
        self._words, self.dimension = self._first_line()
        self._check_size()

    def read(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Vector | None]]:
        """Yield every word with its vector (`dimension` numbers), or with None if it is not `wanted`."""
        if self._format == "word2vec-bin":
            return self._read_binary(wanted)
        return self._read_text(wanted)

    def _first_line(self) -> tuple[int, int]:
        """Return the number of words (0 for GloVe, which does not state it) and the dimension."""
        try:
            with Path(self._path).open("rb") as file:
                fields = file.readline(1 << 24).split()
        except OSError as error:
            raise DataError(f"{self._path}: cannot read: {error.strerror}") from error
        if self._format == "glove":
            if len(fields) <= 2:
                raise DataError(
                    f"{self._path}, line 1: expected a word and its vector; a file that begins with the "
                    "number of words and the dimension is of -embed_type word2vec-txt or word2vec-bin"
                )
            return 0, len(fields) - 1
        if len(fields) != 2 or not all(map(_COUNT.fullmatch, fields)) or int(fields[1]) == 0:
            raise DataError(f"{self._path}, line 1: expected the number of words and the dimension")
        return int(fields[0]), int(fields[1])

    def _check_size(self) -> None:
        """Refuse a file that is too small for its first line, before memory is allocated accordingly."""
        number, end = (4, 0) if self._format == "word2vec-bin" else (len(" 0"), 1)
        least = self._words * (len("a ") + number * self.dimension) - end
        size = Path(self._path).stat().st_size
        if size < least:
            raise DataError(
                f"{self._path}, line 1: announces {self._words} vectors of {self.dimension} numbers, that is "
                f"{least} bytes or more, but the file has {size}"
            )

    def _check_words(self, found: int) -> None:
        """Refuse a file whose number of words differs from its first line."""
        if self._format != "glove" and found != self._words:
            raise DataError(f"{self._path}, line 1: announces {self._words} words, but the file has {found}")

    def _read_text(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Vector | None]]:
        with Path(self._path).open("rb") as file:
            number = 0
            for number, line in enumerate(file, start=1):
                if number == 1 and self._format == "word2vec-txt":
                    continue
                fields = line.rstrip(b" \r\n").split(b" ")
                self._check_fields(fields, number)
                word = b" ".join(fields[: -self.dimension]).decode("utf-8", "surrogateescape")
                yield word, self._parse(fields, number) if wanted(word) else None
            self._check_words(number - 1)

    def _check_fields(self, fields: list[bytes], number: int) -> None:
        """Refuse a line whose vector does not have `dimension` numbers.

        A word may contain blanks, so extra fields count as part of it; in word2vec's text format they must
        not all be numbers, since that means that the vector is too long.
        """
        found = len(fields) - 1
        more = found > self.dimension and self._format == "word2vec-txt"
        if found < self.dimension or (more and all(map(_is_number, fields[1 : -self.dimension]))):
            raise DataError(
                f"{self._path}, line {number}: expected a word and {self.dimension} numbers, found {found}"
            )

    def _parse(self, fields: list[bytes], number: int) -> Vector:
        try:
            vector = np.array([float(field) for field in fields[-self.dimension :]], dtype=np.float32)
        except ValueError as error:
            raise DataError(f"{self._path}, line {number}: {error}") from error
        return self._finite(vector, f"line {number}")

    def _read_binary(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Vector | None]]:
        number = 0
        with (
            Path(self._path).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            for number, (start, blank, end) in enumerate(self._places(content), start=1):
                if number > self._words:
                    continue  # too many words: only count them, for the error message
                word = content[start:blank].decode("utf-8", "surrogateescape")
                if wanted(word):
                    vector = np.frombuffer(content[blank + 1 : end], dtype="<f4").astype(np.float32)
                    yield word, self._finite(vector, f"word {number}")
                else:
                    yield word, None
        self._check_words(number)

    def _places(self, content: mmap.mmap) -> Iterator[tuple[int, int, int]]:
        """Yield for each word the offsets of its start, of the blank after it, and of its vector's end."""
        end = content.find(b"\n") + 1
        for number in count(1):
            start = end
            while content[start : start + 1] == b"\n":
                start += 1
            if start == len(content):
                return
            blank = content.find(b" ", start, start + _LONGEST_WORD)
            end = blank + 1 + 4 * self.dimension
            if blank < 0 or end > len(content):
                raise DataError(
                    f"{self._path}: the file breaks off at word {number} of {self._words} (byte {start})"
                )
            if content.find(b"\n", start, blank) >= 0:
                raise DataError(
                    f"{self._path}: word {number} of {self._words} has a line break (byte {start}); do all "
                    f"vectors have {self.dimension} numbers?"
                )
            yield start, blank, end

    def _finite(self, vector: Vector, where: str) -> Vector:
        if not np.isfinite(vector).all():
            raise DataError(f"{self._path}, {where}: the vector has a number that is not finite")
        return vector


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


class VectorMatcher:
    """Finds the best matching vector for each word of a vocabulary.

    The vector of exactly this word is best. With `approximate`, the next best are those of the word without
    joiners, of the word in lower case, and of a word in the file that differs only in case. Of equally good
    matches, the first in the file wins.
    """

    def __init__(self, words: tuple[str, ...], dimension: int, joiner: str, approximate: bool) -> None:
        self.vectors = np.zeros((len(words), dimension), dtype=np.float32)
        self._approximate = approximate
        self._quality = np.full(len(words), _UNMATCHED)
        self._forms: dict[str, list[tuple[int, int]]] = {}
        for index, word in enumerate(words):
            for quality, form in enumerate(_forms(word, joiner) if approximate else [word]):
                self._forms.setdefault(form, []).append((index, quality))

    @property
    def matched(self) -> npt.NDArray[np.bool_]:
        """Whether each word has a vector."""
        return np.not_equal(self._quality, _UNMATCHED)

    @property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Whether each word has the vector of exactly this word."""
        return np.equal(self._quality, 0)

    @property
    def complete(self) -> bool:
        """Whether every word has an exact match, which no other vector can replace."""
        return not self._quality.any()

    def wants(self, word: str) -> bool:
        """Return whether the vector of this word of the file may match a word of the vocabulary."""
        return word in self._forms or (self._approximate and word.lower() in self._forms)

    def offer(self, word: str, vector: Vector) -> None:
        """Use the vector of a word of the file for every word that matches and has no better one yet."""
        self._offer(word, vector, 0)
        if self._approximate and word.lower() != word:
            self._offer(word.lower(), vector, _OTHER_CASE)

    def _offer(self, form: str, vector: Vector, handicap: int) -> None:
        for index, quality in self._forms.get(form, ()):
            if quality + handicap < self._quality[index]:
                self._quality[index] = quality + handicap
                self.vectors[index] = vector


# Quality of a match, lower is better: position in `_forms` (0: exact), plus _OTHER_CASE if case is ignored.
_OTHER_CASE: Final = 10
_UNMATCHED: Final = 100


def _forms(word: str, joiner: str) -> list[str]:
    """Return the spellings to look for in the file, best first."""
    bare = word.removeprefix(joiner).removesuffix(joiner) or word
    return list(dict.fromkeys((word, bare, word.lower(), bare.lower())))
