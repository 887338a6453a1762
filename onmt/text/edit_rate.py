"""The translation edit rate of a sentence: word edits, where moving a block of words costs one edit.

Snover et al. 2006. The moves are found by greedy search, in the order and with the limits of the original
(onmt/scorers/tercom.lua), so that the results are the same. The original never moves a block before the word
that is aligned with the block's place in the reference; tercom tries that too and may need fewer edits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rapidfuzz.distance import Levenshtein

_LONGEST_BLOCK: Final = 10
_LONGEST_MOVE: Final = 50

# The steps of an alignment.
_MATCH, _SUBSTITUTION, _INSERTION, _DELETION = "MSID"

Words = Sequence[str]


@dataclass(frozen=True)
class Edits:
    """The edits from a hypothesis to a reference. shifted_words: the total length of all moved blocks."""

    insertions: int
    deletions: int
    substitutions: int
    shifts: int
    shifted_words: int

    @property
    def total(self) -> int:
        """The number of edits; a shift counts as one, whatever its length."""
        return self.insertions + self.deletions + self.substitutions + self.shifts


def edits(hypothesis: Words, reference: Words) -> Edits:
    """Return the edits from a hypothesis to a reference; both are lists of words and may be empty."""
    places = _places_of_blocks(hypothesis, reference)
    words = list(hypothesis)
    shifts = shifted_words = 0
    steps = _align(words, reference)
    while True:
        best = _best_shift(words, reference, places, steps)
        if best is None:
            break
        words = best.words
        shifts += 1
        shifted_words += best.length
        steps = _align(words, reference)
    return Edits(
        insertions=steps.count(_INSERTION),
        deletions=steps.count(_DELETION),
        substitutions=steps.count(_SUBSTITUTION),
        shifts=shifts,
        shifted_words=shifted_words,
    )


def _align(hypothesis: Words, reference: Words) -> str:
    """Return the steps of a shortest alignment of hypothesis and reference.

    Traced back from the end, a match is preferred to a substitution, then an insertion, then a deletion.
    """
    costs = [list(range(len(reference) + 1))]
    for i, word in enumerate(hypothesis, start=1):
        above = costs[-1]
        row = [i]
        for j, wanted in enumerate(reference, start=1):
            row.append(min(above[j - 1] + (word != wanted), above[j] + 1, row[j - 1] + 1))
        costs.append(row)
    steps = []
    i, j = len(hypothesis), len(reference)
    while i or j:
        step = _step(costs, i, j, i > 0 and j > 0 and hypothesis[i - 1] == reference[j - 1])
        steps.append(step)
        i -= step != _DELETION
        j -= step != _INSERTION
    return "".join(reversed(steps))


def _step(costs: list[list[int]], i: int, j: int, equal: bool) -> str:
    """Return the last step of a shortest alignment of the first `i` hypothesis and `j` reference words."""
    if not i:
        return _DELETION
    if not j:
        return _INSERTION
    diagonal, insertion, deletion = costs[i - 1][j - 1], costs[i - 1][j] + 1, costs[i][j - 1] + 1
    if equal and diagonal <= insertion and diagonal <= deletion:
        return _MATCH
    if not equal and diagonal + 1 <= insertion and diagonal + 1 <= deletion:
        return _SUBSTITUTION
    return _INSERTION if insertion <= deletion else _DELETION


@dataclass(frozen=True)
class _Alignment:
    """The alignment of the words of a hypothesis and its reference.

    before: for each reference word, the number of hypothesis words up to and including the one aligned with
        it.
    hypothesis_errors, reference_errors: whether each word is part of an edit.
    """

    before: list[int]
    hypothesis_errors: list[bool]
    reference_errors: list[bool]

    @classmethod
    def of(cls, steps: str) -> "_Alignment":
        before, hypothesis_errors, reference_errors = [], [], []
        for step in steps:
            if step != _DELETION:
                hypothesis_errors.append(step != _MATCH)
            if step != _INSERTION:
                reference_errors.append(step != _MATCH)
                before.append(len(hypothesis_errors))
        return cls(before, hypothesis_errors, reference_errors)


@dataclass(frozen=True)
class _Move:
    """A move of words `start` to `end` (exclusive) behind the first `destination` words of the hypothesis."""

    start: int
    end: int
    destination: int

    def apply(self, words: list[str]) -> list[str]:
        rest = words[: self.start] + words[self.end :]
        if self.destination <= self.start:
            position = self.destination
        elif self.destination > self.end:
            position = self.destination - (self.end - self.start)
        else:  # the destination is inside the block: move it by destination - start - 1 words
            position = self.destination - 1
        return [*rest[:position], *words[self.start : self.end], *rest[position:]]


@dataclass(frozen=True)
class _Shift:
    words: list[str]
    length: int


def _places_of_blocks(hypothesis: Words, reference: Words) -> dict[tuple[str, ...], list[int]]:
    """Return the places in the reference where each block of words begins.

    Blocks contain only words that occur in the hypothesis.
    """
    known = set(hypothesis)
    places: dict[tuple[str, ...], list[int]] = {}
    for start in range(len(reference)):
        for end in range(start + 1, min(len(reference), start + _LONGEST_BLOCK + 1) + 1):
            if reference[end - 1] not in known:
                break
            places.setdefault(tuple(reference[start:end]), []).append(start)
    return places


def _best_shift(
    words: list[str], reference: Words, places: dict[tuple[str, ...], list[int]], steps: str
) -> _Shift | None:
    """Return the shift that saves the most edits, or None if no shift saves at least the one that it costs.

    Longer blocks are tried first.
    """
    errors = len(steps) - steps.count(_MATCH)
    moves_by_length = _moves_by_length(words, places, _Alignment.of(steps))
    best: _Shift | None = None
    best_cost = errors  # for a shift, includes the edit that it costs
    for length in range(_LONGEST_BLOCK, 0, -1):
        for move in moves_by_length.get(length, []):
            # A block of n words corrects at most 2n edits, which bounds the savings of shorter blocks too.
            saved, most = errors - best_cost, 2 * length - 1
            if saved > most or (best is not None and saved == most):
                return best
            shifted = move.apply(words)
            cost = Levenshtein.distance(shifted, reference) + 1
            if cost < best_cost or (best is None and cost == best_cost):
                best, best_cost = _Shift(shifted, length), cost
    return best


def _moves_by_length(
    words: list[str], places: dict[tuple[str, ...], list[int]], alignment: _Alignment
) -> dict[int, list[_Move]]:
    """Return the moves worth trying, by the length of the block."""
    moves: dict[int, list[_Move]] = {}
    for start in range(len(words)):
        destinations = places.get((words[start],), [])
        if not any(_is_reachable(start, alignment.before[place]) for place in destinations):
            continue
        for end in range(start + 1, min(len(words), start + _LONGEST_BLOCK) + 1):
            block_places = places.get(tuple(words[start:end]))
            if block_places is None:
                break
            if not any(alignment.hypothesis_errors[start:end]):
                continue  # no error in this block, but a longer one may have an error
            found = [
                place
                for place in block_places
                if _is_reachable(start, alignment.before[place])
                and not start < alignment.before[place] <= end
            ]
            if not found:
                break
            moves.setdefault(end - start, []).extend(_moves_of_block(start, end, found, alignment))
    return moves


def _is_reachable(start: int, before: int) -> bool:
    return before != start + 1 and before - start - 1 <= _LONGEST_MOVE and start - before <= _LONGEST_MOVE


def _moves_of_block(start: int, end: int, places: list[int], alignment: _Alignment) -> Iterator[_Move]:
    for place in places:
        if not any(alignment.reference_errors[place : place + end - start]):
            continue
        first = alignment.before[place]
        for offset in range(end - start):
            before = alignment.before[place + offset]
            if before != start + 1 and (offset == 0 or before != first):
                yield _Move(start, end, before)
