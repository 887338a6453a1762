"""Byte pair encoding (Sennrich et al. 2016): learn merges from a corpus (tools/learn_bpe.lua), and segment
words.

Reads the files of the original (header `v3;prefix;suffix;case_insensitive;BOT;EOT`, older headers of three or
four fields, or none) and of subword-nmt (`#version: 0.2`: the end marker is part of the last character).
Learned files equal the original's byte for byte, so its bookkeeping is kept: counts of rare pairs are pruned
and restored when the frequent pairs are used up, and a pruned pair that occurs again is counted from zero.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from onmt.errors import DataError
from onmt.text.characters import to_lower
from onmt.text.lines import has_placeholder, read_text_lines
from onmt.text.options import BpeMode, TokenizerOptions

# The original ignores merges of this rank and later.
_RANK_LIMIT: Final = 100000


@dataclass(frozen=True)
class BpeModel:
    """The content of a BPE file.

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
    """Read `-bpe_model`; settings that its header lacks come from the other options.

    Raises DataError, naming the file, if it cannot be read or is not a BPE model.
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
    """Return the rank of each pair, from 1; the last rank of a repeated pair counts.

    Raises DataError for a line that is not a pair, and if there is no pair.
    """
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
        """Return the subwords of a word, without markers; their concatenation is the word."""
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
    """Cut a word into pieces of these lengths; zero, the length of an unmerged marker, yields no piece."""
    pieces = []
    start = 0
    for length in lengths:
        if length:
            pieces.append(word[start : start + length])
        start += length
    return pieces


def merge_symbols(symbols: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Merge the adjacent pair of best rank, everywhere from left to right, until no pair has a rank.

    Takes O(n log n) time for n symbols, since a line without a blank may be one word of a million characters.
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
        # Merge all places of one pair first, from left to right; a better pair that this creates has to wait.
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


Pair = tuple[str, str]

_MINIMUM_FREQUENCY: Final = 2


@dataclass(frozen=True, kw_only=True)
class BpeSettings:
    """The header of a BPE model."""

    mode: BpeMode
    case_insensitive: bool
    begin_marker: str
    end_marker: str

    @property
    def prefix(self) -> bool:
        """Whether words begin with a marker."""
        return self.mode in ("prefix", "both")

    @property
    def suffix(self) -> bool:
        """Whether words end with a marker."""
        return self.mode in ("suffix", "both")

    def header(self) -> str:
        """The first line of the model file."""
        flags = ("true" if flag else "false" for flag in (self.prefix, self.suffix, self.case_insensitive))
        return ";".join(["v3", *flags, self.begin_marker, self.end_marker])

    def symbols(self, word: str) -> list[str]:
        """Return the symbols of a word before any merge: its characters and markers."""
        return [
            *([self.begin_marker] if self.prefix else []),
            *word,
            *([self.end_marker] if self.suffix else []),
        ]


def learn_merges(frequencies: Mapping[str, int], settings: BpeSettings, size: int) -> Iterator[Pair]:
    """Yield up to `size` merges, best first; stop early when no pair occurs twice.

    frequencies: number of occurrences of each word. Words with placeholders are skipped, since they are never
    segmented.
    """
    table = _PairTable(
        _Entry(settings.symbols(word), count)
        for word, count in frequencies.items()
        if not has_placeholder(word)
    )
    for step in range(1, size + 1):
        pair = table.most_frequent(step)
        if pair is None:
            return
        yield pair
        table.merge(pair)


@dataclass
class _Entry:
    symbols: list[str]
    frequency: int


class _PairTable:
    """Counts of adjacent pairs, updated while pairs are merged.

    _counts: the pairs that are not pruned. _all_counts: all pairs, as counted at their last pruning.
    _ranking: heap of (-count, pair as text, pair) with an entry for every pair in _counts, and outdated ones.
    _places: for each pair, the numbers of the words it may occur in, with its count of occurrences in each.
    """

    def __init__(self, entries: Iterable[_Entry]) -> None:
        self._entries = list(entries)
        self._counts: dict[Pair, int] = {}
        self._places: dict[Pair, dict[int, int]] = {}
        for number, entry in enumerate(self._entries):
            for pair in zip(entry.symbols, entry.symbols[1:], strict=False):
                self._counts[pair] = self._counts.get(pair, 0) + entry.frequency
                self._note_place(pair, number, 1)
        self._all_counts = dict(self._counts)
        self._ranking: list[tuple[int, str, Pair]] = []
        self._rank_all()
        self._threshold = max(self._counts.values(), default=0) / 10

    def most_frequent(self, step: int) -> Pair | None:
        """Return the pair to merge at this step (from 1), or None at the end.

        Of equally frequent pairs, the first by code points is returned.
        """
        best = self._best()
        if best is None or self._counts[best] < self._threshold:
            self._prune()
            self._counts = dict(self._all_counts)
            self._rank_all()
            best = self._best()
            if best is None:
                return None
            # A threshold motivated by Zipf's law: rarer pairs are set aside until the next round.
            self._threshold = self._counts[best] * step / (step + 10000.0)
            self._prune()
            self._rank_all()
        return best if self._counts[best] >= _MINIMUM_FREQUENCY else None

    def _best(self) -> Pair | None:
        """Return the pair with the highest count, or None if no count is 0 or more.

        Of equally frequent pairs, the first by code points is returned.
        """
        while self._ranking:
            negative_count, _, pair = self._ranking[0]
            if self._counts.get(pair) == -negative_count:
                return pair if negative_count <= 0 else None
            heapq.heappop(self._ranking)
        return None

    def _rank_all(self) -> None:
        self._ranking = [(-count, " ".join(pair), pair) for pair, count in self._counts.items()]
        heapq.heapify(self._ranking)

    def _set_count(self, pair: Pair, count: int) -> None:
        self._counts[pair] = count
        heapq.heappush(self._ranking, (-count, " ".join(pair), pair))

    def _prune(self) -> None:
        """Set the counts below the threshold aside."""
        for pair, count in list(self._counts.items()):
            if count < self._threshold:
                del self._counts[pair]
                if count < 0:
                    self._all_counts[pair] = self._all_counts.get(pair, 0) + count
                else:
                    self._all_counts[pair] = count

    def _note_place(self, pair: Pair, number: int, change: Literal[1, -1]) -> None:
        places = self._places.setdefault(pair, {})
        # The first note of a word is 1 even for a removal: `merge` then visits a word that lacks the pair.
        places[number] = places[number] + change if number in places else 1

    def _count(self, pair: Pair, number: int, change: Literal[1, -1]) -> None:
        self._set_count(pair, self._counts.get(pair, 0) + change * self._entries[number].frequency)
        self._note_place(pair, number, change)

    def merge(self, pair: Pair) -> None:
        """Merge a pair wherever it occurs."""
        places = self._places.get(pair, {})
        self._places[pair] = {}
        self._set_count(pair, 0)
        for number, count in places.items():
            if count >= 1:
                entry = self._entries[number]
                merged = _merge_pair(entry.symbols, pair)
                self._take_away(pair, number, entry.symbols)
                self._add("".join(pair), number, merged)
                entry.symbols = merged
        self._set_count(pair, 0)

    def _take_away(self, pair: Pair, number: int, symbols: list[str]) -> None:
        """Subtract the pairs that overlap with the merged pair, in a word before the merge."""
        index = 0
        last = len(symbols) - 1
        while index < last:
            if (symbols[index], symbols[index + 1]) != pair:
                index += 1
                continue
            if index > 0:
                self._count((symbols[index - 1], symbols[index]), number, -1)
            # If the same pair follows directly, the pair between the two is subtracted at the second one.
            # At the end of a word it is subtracted twice, as in the original.
            repeats = index + 3 < last and (symbols[index + 2], symbols[index + 3]) == pair
            if index + 2 <= last and not repeats:
                self._count((symbols[index + 1], symbols[index + 2]), number, -1)
            index += 2

    def _add(self, new: str, number: int, symbols: list[str]) -> None:
        """Count the pairs that contain the new symbol, in a word after the merge."""
        for index, symbol in enumerate(symbols):
            if symbol != new:
                continue
            if index > 0:
                self._count((symbols[index - 1], symbol), number, 1)
            if index + 1 < len(symbols) and symbols[index + 1] != new:
                self._count((symbol, symbols[index + 1]), number, 1)


def _merge_pair(symbols: list[str], pair: Pair) -> list[str]:
    """Return the symbols with the pair merged everywhere, from left to right."""
    merged: list[str] = []
    index = 0
    while index < len(symbols):
        if index + 1 < len(symbols) and (symbols[index], symbols[index + 1]) == pair:
            merged.append(symbols[index] + symbols[index + 1])
            index += 2
        else:
            merged.append(symbols[index])
            index += 1
    return merged
