"""Vocabularies: words (or feature labels) and their ids, and Lua's file format for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, TypeVar

from onmt.constants import PAD_WORD, SPECIAL_WORDS, UNK
from onmt.errors import DataError
from onmt.files import replacing

_Item = TypeVar("_Item")
_Word = TypeVar("_Word", str, bytes)


class Vocabulary:
    """An immutable two-way table between words and ids; the ids 0..3 are PAD, UNK, BOS, EOS.

    Raises DataError if the four special words don't come first, if a word appears twice, or if there isn't
    one frequency per word.
    """

    __slots__ = ("_ids", "_text_ids", "frequencies", "words")

    def __init__(self, words: Sequence[str], frequencies: Sequence[int] | None = None) -> None:
        self.words: tuple[str, ...] = tuple(words)
        self.frequencies: tuple[int, ...] | None = None if frequencies is None else tuple(frequencies)
        self._ids: dict[str, int] = {word: i for i, word in enumerate(self.words)}
        self._text_ids = _TextIds(self._ids)
        self._text_ids[PAD_WORD] = UNK
        if self.words[: len(SPECIAL_WORDS)] != SPECIAL_WORDS:
            found = " ".join(self.words[: len(SPECIAL_WORDS)])
            raise DataError(f"a vocabulary starts with {' '.join(SPECIAL_WORDS)}, not with '{found}'")
        if len(self._ids) != len(self.words):
            repeated = next(word for i, word in enumerate(self.words) if self._ids[word] != i)
            raise DataError(f"the word '{repeated}' appears twice in a vocabulary")
        if self.frequencies is not None and len(self.frequencies) != len(self.words):
            raise DataError(
                f"a vocabulary of {len(self.words)} words has {len(self.frequencies)} frequencies"
            )

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.words == other.words and self.frequencies == other.frequencies

    def __hash__(self) -> int:
        return hash(self.words)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} words)"

    def id(self, word: str) -> int:
        """The id of `word`, UNK if the vocabulary lacks it."""
        return self._ids.get(word, UNK)

    def ids(self, words: Iterable[str]) -> list[int]:
        """Return the ids of the `words` of a text in order, UNK for words that the vocabulary lacks.

        `<blank>` in a text also becomes UNK: PAD means "no word here" and must not occur inside a sentence.
        """
        return list(map(self._text_ids.__getitem__, words))

    def utf8_ids(self) -> Mapping[bytes, int]:
        """Return the table behind `ids` for words in UTF-8: `[word]` is the id, UNK for an unknown word."""
        # A word with lone surrogates gets bytes that no valid UTF-8 text contains, so it never matches.
        encoded = ((word.encode("utf-8", "surrogatepass"), index) for word, index in self._text_ids.items())
        return _TextIds(encoded)

    def word(self, index: int) -> str:
        """The word of id `index` (0-based)."""
        return self.words[index]

    @classmethod
    def read(cls, path: str | Path) -> "Vocabulary":
        """Read Lua's format: a line per word, `word index [frequency]`, indices from 1 in any order.

        Ids follow from the indices, not from the order of the lines. Further fields are ignored; frequencies
        too, unless every line has one. Raises DataError naming file and line.
        """
        entries: dict[int, tuple[str, int | None]] = {}
        lines_of_words: dict[str, int] = {}
        for number, line in enumerate(_lines(path), start=1):
            if not line:
                continue
            word, index, frequency = _parse_entry(line, f"{path}, line {number}")
            if word in lines_of_words:
                first = lines_of_words[word]
                raise DataError(f"{path}, line {number}: the word '{word}' is already on line {first}")
            if index in entries:
                raise DataError(
                    f"{path}, line {number}: index {index} already belongs to '{entries[index][0]}'"
                )
            _check_special(word, index, f"{path}, line {number}")
            lines_of_words[word] = number
            entries[index] = (word, frequency)
        return cls(*_in_order(entries, path))

    def to_bytes(self) -> bytes:
        """Return the content of a file in Lua's format, with frequencies if there are any."""
        if self.frequencies is None:
            lines = (f"{word} {i}\n" for i, word in enumerate(self.words, start=1))
        else:
            counted = zip(self.words, self.frequencies, strict=True)
            lines = (f"{word} {i} {count}\n" for i, (word, count) in enumerate(counted, start=1))
        return "".join(lines).encode("utf-8")

    def write(self, path: str | Path) -> None:
        """Write a file in Lua's format, atomically."""
        with replacing(path) as file:
            file.write(self.to_bytes())

    def to_state(self) -> dict[str, Any]:
        """Return a JSON-compatible value that `from_state` reads back."""
        frequencies = None if self.frequencies is None else list(self.frequencies)
        return {"words": list(self.words), "frequencies": frequencies}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Vocabulary":
        """Restore a vocabulary from the result of `to_state`. Raises DataError if that is damaged."""
        words, frequencies = state.get("words"), state.get("frequencies")
        if not _is_list_of(words, str) or not (frequencies is None or _is_list_of(frequencies, int)):
            raise DataError("a stored vocabulary is damaged: its words or frequencies are not a list")
        return cls(words, frequencies)


class _TextIds(dict[_Word, int]):
    """Ids by word, UNK for all other words; faster than `dict.get` with a default."""

    def __missing__(self, word: _Word) -> int:
        return UNK


class ImageSize(NamedTuple):
    """Height and width of images, in pixels."""

    height: int
    width: int

    @property
    def values(self) -> int:
        """Number of values of an image with three colours."""
        return 3 * self.height * self.width

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"


@dataclass(frozen=True)
class Vocabularies:
    """All vocabularies of a data set or model. Each side: the words first, then one per word feature.

    Vectors as source: `src` is empty and `src_vector_size` is the length of a vector. Images as source: `src`
    is empty and `src_image_size` is the size of every image. Monotext: `tgt` is empty.
    """

    src: tuple[Vocabulary, ...]
    tgt: tuple[Vocabulary, ...]
    src_vector_size: int = 0
    src_image_size: ImageSize | None = None

    def to_state(self) -> dict[str, Any]:
        """Return a JSON-compatible value that `from_state` reads back."""
        return {
            "src": [vocabulary.to_state() for vocabulary in self.src],
            "tgt": [vocabulary.to_state() for vocabulary in self.tgt],
            "src_vector_size": self.src_vector_size,
            "src_image_size": None if self.src_image_size is None else list(self.src_image_size),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Vocabularies":
        """Restore vocabularies from the result of `to_state`. Raises DataError if that is damaged."""
        src, tgt, size = state.get("src"), state.get("tgt"), state.get("src_vector_size")
        if not _is_list_of(src, dict) or not _is_list_of(tgt, dict) or not isinstance(size, int):
            raise DataError("the stored vocabularies are damaged: a side is missing")
        image = state.get("src_image_size")
        if image is not None and not (_is_list_of(image, int) and len(image) == 2):
            raise DataError("the stored vocabularies are damaged: the size of the images is invalid")
        return cls(
            src=tuple(Vocabulary.from_state(one) for one in src),
            tgt=tuple(Vocabulary.from_state(one) for one in tgt),
            src_vector_size=size,
            src_image_size=None if image is None else ImageSize(*image),
        )


def _is_list_of(value: object, kind: type[_Item]) -> TypeGuard[list[_Item]]:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _lines(path: str | Path) -> list[str]:
    """Read the lines of a vocabulary file, without byte order mark and carriage returns at line ends."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the vocabulary: {error.strerror}") from error
    lines = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            lines.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number}, byte offset {error.start}: not valid UTF-8") from error
    return lines


def _parse_entry(line: str, where: str) -> tuple[str, int, int | None]:
    fields = [field for field in line.split(" ") if field]
    if len(fields) < 2 or not _is_number(fields[1]) or int(fields[1]) < 1:
        raise DataError(
            f"{where}: expected 'word index [frequency]' with an index from 1, found '{line[:80]}'"
        )
    frequency = int(fields[2]) if len(fields) > 2 and _is_number(fields[2]) else None
    return fields[0], int(fields[1]), frequency


def _is_number(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 19


def _check_special(word: str, index: int, where: str) -> None:
    expected = SPECIAL_WORDS[index - 1] if index <= len(SPECIAL_WORDS) else None
    if expected is not None and word != expected:
        raise DataError(
            f"{where}: index {index} is for {expected}, not for '{word}'; is this a vocabulary file?"
        )
    if expected is None and word in SPECIAL_WORDS:
        wanted = SPECIAL_WORDS.index(word) + 1
        raise DataError(f"{where}: {word} must have index {wanted}, not {index}")


def _in_order(
    entries: Mapping[int, tuple[str, int | None]], path: str | Path
) -> tuple[list[str], list[int] | None]:
    for index in range(1, max(len(entries), len(SPECIAL_WORDS)) + 1):
        if index not in entries:
            missing = f" ({SPECIAL_WORDS[index - 1]})" if index <= len(SPECIAL_WORDS) else ""
            raise DataError(
                f"{path}: no line has index {index}{missing}; the indices must be 1..{len(entries)}, the "
                f"largest is {max(entries, default=0)}"
            )
    ordered = [entries[index] for index in range(1, len(entries) + 1)]
    counts = [count for _, count in ordered if count is not None]
    return [word for word, _ in ordered], counts if len(counts) == len(ordered) else None
