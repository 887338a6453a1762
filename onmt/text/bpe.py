"""Cuts words into subwords by byte pair encoding (Sennrich et al. 2016; tools/utils/BPE.lua).

Understands the files of the original (`v3;prefix;suffix;case_insensitive;BOT;EOT`, older headers of three or
four fields, or none) and those of subword-nmt (`#version: 0.2`: the end marker is part of the last letter).
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from onmt.errors import DataError
from onmt.text.characters import to_lower
from onmt.text.lines import read_text_lines
from onmt.text.options import TokenizerOptions

# The original never looks at merges of this rank or later.
_RANK_LIMIT: Final = 100000


@dataclass(frozen=True)
class BpeModel:
    """What a BPE file says.

    ranks: the priority of each merge, 1 first.
    prefix, suffix: whether words begin with `begin_marker` and end with `end_marker`.
    marker_in_last: the end marker is part of the last character instead of a symbol of its own.
    """

    ranks: Mapping[tuple[str, str], int]
    prefix: bool
    suffix: bool
    case_insensitive: bool
    begin_marker: str
    end_marker: str
    marker_in_last: bool = False


def read_bpe_model(options: TokenizerOptions) -> BpeModel:
    """Read `-bpe_model`; what its header does not say comes from the other options.

    Raises DataError for a file that cannot be read or is no BPE model, naming the file.
    """
    path = options.bpe_model
    lines = list(read_text_lines(path))
    if lines and lines[0].endswith("\r"):
        lines = [line.removesuffix("\r") for line in lines]
    first_line = lines[0] if lines else ""
    header = [field for field in first_line.split(";") if field]
    prefix, suffix = options.bpe_mode in ("prefix", "both"), options.bpe_mode in ("suffix", "both")
    case_insensitive = options.bpe_case_insensitive
    begin_marker, end_marker = options.bpe_bot_marker, options.bpe_eot_marker
    header_lines = 1
    if header[:1] == ["v3"]:
        if len(header) != 6:
            raise DataError(f"{path}, line 1: a v3 header has 6 fields, this one has {len(header)}")
        prefix, suffix, case_insensitive = (field == "true" for field in header[1:4])
        begin_marker, end_marker = header[4:]
    elif len(header) in (3, 4) and header[0] in ("true", "false"):
        prefix, suffix, case_insensitive = (field == "true" for field in header[:3])
    elif not first_line.startswith("#version"):
        header_lines = 0
    ranks = _ranks(path, lines, header_lines)
    return BpeModel(
        ranks=ranks,
        prefix=prefix,
        suffix=suffix,
        case_insensitive=case_insensitive,
        begin_marker=begin_marker,
        end_marker=end_marker,
        marker_in_last=first_line.replace(" ", "").startswith("#version:0.2"),
    )


def _ranks(path: str, lines: Sequence[str], header_lines: int) -> dict[tuple[str, str], int]:
    """The rank of each pair, from 1; of equal pairs the last counts. DataError for a line that is no pair."""
    ranks: dict[tuple[str, str], int] = {}
    rank = 0
    for number, line in enumerate(lines[header_lines:], start=header_lines + 1):
        left, _, right = line.partition(" ")
        if left and right and " " not in right:
            rank += 1
            ranks[left, right] = rank
        elif line:
            raise DataError(
                f"{path}, line {number}: this is not a BPE model: '{line[:40]}' is not two symbols"
            )
    if not ranks:
        raise DataError(f"{path}: this is not a BPE model: there is no pair of symbols in it")
    return {pair: rank for pair, rank in ranks.items() if rank < _RANK_LIMIT}


class Bpe:
    """Cuts words into subwords."""

    def __init__(self, model: BpeModel) -> None:
        self._model = model

    def segment(self, word: str) -> list[str]:
        """The subwords of a word, without markers; together they are the word. One character stays whole."""
        if len(word) <= 1:
            return [word]
        model = self._model
        symbols = [to_lower(character) for character in word] if model.case_insensitive else list(word)
        if model.prefix:
            symbols.insert(0, model.begin_marker)
        if model.suffix and model.marker_in_last:
            symbols[-1] += model.end_marker
        elif model.suffix:
            symbols.append(model.end_marker)
        symbols = merge_symbols(symbols, model.ranks)
        if model.suffix:
            symbols[-1] = symbols[-1].removesuffix(model.end_marker)
        if model.prefix:
            symbols[0] = symbols[0].removeprefix(model.begin_marker)
        return _cut(word, [len(symbol) for symbol in symbols])


def _cut(word: str, lengths: Iterable[int]) -> list[str]:
    """Pieces of a word of these lengths; those of length zero (a marker that stayed alone) vanish."""
    pieces = []
    start = 0
    for length in lengths:
        if length:
            pieces.append(word[start : start + length])
        start += length
    return pieces


def merge_symbols(symbols: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Merge the neighbours of best rank, everywhere from left to right, until no neighbours have a rank.

    Takes time n log n for n symbols: a line without a blank may be one word of a million characters.
    """
    merged: list[str] = list(symbols)
    following = list(range(1, len(merged) + 1))
    preceding = list(range(-1, len(merged) - 1))
    alive = [True] * len(merged)

    def rank_at(position: int) -> int | None:
        after = following[position] if position >= 0 else len(merged)
        return ranks.get((merged[position], merged[after])) if after < len(merged) else None

    queue = [(ranks[pair], position) for position, pair in enumerate(pairwise(merged)) if pair in ranks]
    heapq.heapify(queue)
    while queue:
        best = queue[0][0]
        changed = []
        # All places of one pair come first, in order: a better pair that arises on the way has to wait.
        while queue and queue[0][0] == best:
            position = heapq.heappop(queue)[1]
            if not alive[position] or rank_at(position) != best:
                continue
            after = following[position]
            merged[position] += merged[after]
            alive[after] = False
            following[position] = following[after]
            if following[after] < len(merged):
                preceding[following[after]] = position
            changed.append(position)
        for position in changed:
            for place in (preceding[position], position):
                rank = rank_at(place)
                if rank is not None:
                    heapq.heappush(queue, (rank, place))
    return [symbol for symbol, is_alive in zip(merged, alive, strict=True) if is_alive]
