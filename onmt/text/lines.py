"""Lines of text, and tokens with features (`word￨a￨b`) and placeholders (`｟name：value｠`).

Text is UTF-8 whatever the locale; only line feeds end lines. A placeholder, alone or within a token, passes
through everything unchanged; this module alone decides what is one. A separator inside is written `％hhhh`,
the hexadecimal code of the character, so that the token stays whole.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from onmt.constants import (
    FEATURE_MARKER,
    PLACEHOLDER_CLOSE,
    PLACEHOLDER_ESCAPE,
    PLACEHOLDER_OPEN,
    PLACEHOLDER_VALUE,
)
from onmt.errors import DataError
from onmt.runtime.processes import map_in_order
from onmt.text.characters import separators

_WHITE_SPACE: Final = re.compile("[ \\t\\n\\r\\f\\v]+")


def split_words(line: str) -> list[str]:
    """Split at blanks: U+0020, and the carriage return that ends lines of files from Windows."""
    tokens = line.replace("\r", " ").split(" ")
    return [token for token in tokens if token] if "" in tokens else tokens


def split_at_white_space(line: str) -> list[str]:
    """Split at ASCII white space, as multi-bleu.perl does."""
    return [token for token in _WHITE_SPACE.split(line) if token]


def decode_line(line: bytes, source: str, number: int) -> str:
    """Decode one line, given with or without its `\\n`, to text without it.

    Raises DataError with the source, the line number (from 1) and the offset of the bad byte in the line
    (from 0).
    """
    try:
        return line.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}, line {number}, byte offset {error.start}: not valid UTF-8") from error


def decode_lines(lines: Iterable[bytes], source: str) -> Iterator[str]:
    """Yield all lines of a binary file as text, see `decode_line`."""
    for number, line in enumerate(lines, start=1):
        yield decode_line(line, source, number)


def read_text_lines(path: str | Path) -> Iterator[str]:
    """Yield the lines of a file. Raises DataError when it cannot be read or is not UTF-8."""
    try:
        with Path(path).open("rb") as file:
            yield from decode_lines(file, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from error


def split_features(tokens: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Split tokens into words and, per feature, the values of all words.

    Tokens with an empty word part are left out. Raises DataError when words have different numbers of
    features; the caller must add file and line to the message.
    """
    if not any(FEATURE_MARKER in token for token in tokens):
        return [token for token in tokens if token], []
    rows = [parts for parts in (token.split(FEATURE_MARKER) for token in tokens) if parts[0]]
    if not rows:
        return [], []
    count = len(rows[0]) - 1
    for parts in rows:
        if len(parts) - 1 != count:
            raise DataError(
                "all words of a sentence must have the same number of features, but "
                f"'{rows[0][0]}' has {count} and '{parts[0]}' has {len(parts) - 1}"
            )
    words, *features = zip(*rows, strict=True)
    return list(words), [list(values) for values in features]


def join_features(words: Sequence[str], features: Sequence[Sequence[str]]) -> list[str]:
    """Join words and features to tokens; `features` has one sequence per feature, as long as `words`."""
    return [FEATURE_MARKER.join(parts) for parts in zip(words, *features, strict=True)]


# Maps lines to the same number of lines, which it may yield one by one.
LineFunction = Callable[[list[str]], Iterable[str]]

# A batch ends at this size even if it has fewer lines than `batch_size`, since lines can be long.
_BATCH_BYTES: Final = 1 << 23


@dataclass(frozen=True)
class _Batch:
    first: int  # the number of its first line, from 1
    lines: list[bytes]


def process_lines(
    source: BinaryIO,
    target: BinaryIO,
    function: LineFunction,
    *,
    name: str,
    processes: int,
    batch_size: int,
) -> int:
    """Write to `target` the result of `function` for each line of `source`; return the number of lines.

    name: name of the source in messages. processes: number of workers; 1 computes in this process.
    batch_size: lines per call of `function`, at most. Raises DataError, naming the line, when the function
    raises one and for bytes that are not UTF-8.
    """
    lines = 0
    work = partial(_process, function, name)
    with closing(map_in_order(work, _batches(source, batch_size), processes)) as results:
        for result in results:
            target.write(result)
            target.flush()
            lines += result.count(b"\n")
    return lines


def _batches(source: BinaryIO, batch_size: int) -> Iterator[_Batch]:
    batch = _Batch(1, [])
    size = 0
    for line in source:
        batch.lines.append(line)
        size += len(line)
        if len(batch.lines) == batch_size or size >= _BATCH_BYTES:
            yield batch
            batch, size = _Batch(batch.first + len(batch.lines), []), 0
    if batch.lines:
        yield batch


def _process(function: LineFunction, name: str, batch: _Batch) -> bytes:
    lines = [decode_line(line, name, number) for number, line in enumerate(batch.lines, start=batch.first)]
    done: list[str] = []
    try:
        for line in function(lines):
            done.append(line)
    except DataError as error:
        raise DataError(f"{name}, line {batch.first + len(done)}: {error}") from error
    return "".join(f"{line}\n" for line in done).encode("utf-8", "replace")


_SEPARATORS_INSIDE: Final = re.compile(f"[{re.escape(separators())}]")
_ESCAPE: Final = re.compile(PLACEHOLDER_ESCAPE + "([0-9a-fA-F]{4})")

_INSIDE: Final = f"[^{PLACEHOLDER_CLOSE}]*"
PLACEHOLDER: Final = re.compile(f"{PLACEHOLDER_OPEN}{_INSIDE}{PLACEHOLDER_CLOSE}")
"""A placeholder, with or without a value."""
_UNFINISHED: Final = re.compile(f"{PLACEHOLDER_OPEN}{_INSIDE}{PLACEHOLDER_CLOSE}?")
_WITH_VALUE: Final = re.compile(
    f"({PLACEHOLDER_OPEN}[^{PLACEHOLDER_CLOSE}{PLACEHOLDER_VALUE}]*){PLACEHOLDER_VALUE}({_INSIDE}){PLACEHOLDER_CLOSE}"
)


def escape(placeholder: str) -> str:
    """Escape the separators inside a placeholder as `％hhhh`."""
    return _SEPARATORS_INSIDE.sub(lambda match: f"{PLACEHOLDER_ESCAPE}{ord(match[0]):04x}", placeholder)


def unescape(placeholder: str) -> str:
    """Replace each escape `％hhhh` by its character; escapes of surrogates and of line feeds stay."""
    return _ESCAPE.sub(_decode, placeholder)


def _decode(match: re.Match[str]) -> str:
    code_point = int(match[1], 16)
    is_surrogate = 0xD800 <= code_point <= 0xDFFF
    return match[0] if is_surrogate or code_point == ord("\n") else chr(code_point)


def has_placeholder(token: str) -> bool:
    """Return whether a token contains a placeholder; joiners and, in some modes, letters may surround it.

    Such a token is never segmented, changed in case or used for learning BPE (OpenNMT-lua
    tools/utils/case.lua, BPE.lua).
    """
    return PLACEHOLDER_OPEN in token


def without_values(token: str) -> str:
    """Return the form of a token in vocabularies: its placeholders without their values.

    `￭｟num：12｠kg` becomes `￭｟num｠kg`; a token without placeholders stays as it is.
    """
    if PLACEHOLDER_OPEN not in token:
        return token
    return _WITH_VALUE.sub(lambda match: match[1] + PLACEHOLDER_CLOSE, token)


def values_of(token: str) -> Iterator[tuple[str, str]]:
    """Yield `｟name｠` and the value, still escaped, of each placeholder of a token that has a value."""
    for match in _WITH_VALUE.finditer(token):
        yield match[1] + PLACEHOLDER_CLOSE, match[2]


def with_values(token: str, values: Mapping[str, str]) -> str:
    """Replace each placeholder of a token by its entry in `values`, if there is one; the rest stays."""
    if PLACEHOLDER_OPEN not in token:
        return token
    return PLACEHOLDER.sub(lambda match: values.get(match[0], match[0]), token)


def unescape_placeholders(text: str) -> str:
    """Unprotect all placeholders in a text, including those without a closing bracket."""
    return _UNFINISHED.sub(lambda match: unescape(match[0]), text)
