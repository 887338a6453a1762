"""Sample sentences from many corpus files by weight (`-gsample`, `-gsample_dist`).

The distribution names files by Lua patterns, which are translated to regular expressions.

Supported: characters, `.`, the classes `%a %c %d %l %p %s %u %w %x` and their complements in upper case, `%`
before punctuation, sets `[...]` and `[^...]` with ranges and classes, `*`, `+`, `-`, `?`, the anchors `^` and
`$`, and parentheses, which don't affect the match. Refused: `%b`, `%f` and `%1`.
"""

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from onmt.data.corpus import Block, ImageBlock, LineBlock, count_lines, unequal_files
from onmt.data.options import DataOptions, Side
from onmt.errors import DataError, OptionError
from onmt.logger import Logger
from onmt.runtime.random import numpy_generator
from onmt.text.lines import read_text_lines

# The characters that isalpha() etc. accept in the C locale, as the inside of a regular expression's set.
_CLASSES: Final = {
    "a": "A-Za-z",
    "c": "\\x00-\\x1f\\x7f",
    "d": "0-9",
    "l": "a-z",
    "p": "!-/:-@\\[-`{-~",
    "s": " \\t-\\r",
    "u": "A-Z",
    "w": "A-Za-z0-9",
    "x": "A-Fa-f0-9",
}
_ANYTHING: Final = "\\x00-\\U0010ffff"
_QUANTIFIERS: Final = {"*": "*", "+": "+", "-": "*?", "?": "?"}


def _compile_lua_pattern(pattern: str) -> re.Pattern[str]:
    """Translate a Lua pattern to an equivalent regular expression.

    Raises OptionError with the reason if the pattern is malformed or not supported.
    """
    return re.compile(_Translator(pattern).translate())


class _Translator:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0

    def translate(self) -> str:
        pieces: list[str] = []
        depth = 0
        if self._accept("^"):
            pieces.append("\\A")
        while self._position < len(self._pattern):
            if self._accept("("):
                depth += 1
                pieces.append("(?:")
            elif self._accept(")"):
                depth -= 1
                if depth < 0:
                    raise self._error("there is a ) without its (")
                pieces.append(")")
            elif self._pattern[self._position :] == "$":
                self._position += 1
                pieces.append("\\Z")
            else:
                pieces.append(self._single() + self._quantifier())
        if depth:
            raise self._error("a ( is not closed")
        return "".join(pieces)

    def _accept(self, character: str) -> bool:
        found = self._pattern.startswith(character, self._position)
        self._position += found
        return found

    def _next(self) -> str:
        if self._position == len(self._pattern):
            raise self._error("it ends too early")
        self._position += 1
        return self._pattern[self._position - 1]

    def _quantifier(self) -> str:
        for sign, translated in _QUANTIFIERS.items():
            if self._accept(sign):
                return translated
        return ""

    def _single(self) -> str:
        """Translate the next item that matches one character."""
        character = self._next()
        if character == ".":
            return f"[{_ANYTHING}]"
        if character == "[":
            return self._set()
        if character == "%":
            return f"[{self._class()}]"
        return re.escape(character)

    def _class(self) -> str:
        """Translate the character after a `%` to the inside of a set."""
        letter = self._next()
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.lower() in _CLASSES:
            return _complement(_CLASSES[letter.lower()])
        if letter.isalnum():
            raise self._error(f"%{letter} is not supported")
        return re.escape(letter)

    def _set(self) -> str:
        negated = self._accept("^")
        inside: list[str] = []
        while not inside or not self._accept("]"):
            character = self._next()
            if character == "%":
                inside.append(self._class())
                continue
            rest = self._pattern[self._position :]
            if len(rest) >= 2 and rest[0] == "-" and rest[1] != "]":
                self._next()
                last = self._next()
                if last < character:
                    raise self._error(f"the range {character}-{last} is empty")
                inside.append(f"{re.escape(character)}-{re.escape(last)}")
            else:
                inside.append(re.escape(character))
        return f"[{'^' if negated else ''}{''.join(inside)}]"

    def _error(self, reason: str) -> OptionError:
        return OptionError(f"the pattern '{self._pattern}': {reason}")


def _complement(inside: str) -> str:
    """Return the inside of the complementary set, so that it can also be part of a larger set."""
    member = re.compile(f"[{inside}]")
    ascii_others = "".join(f"\\x{code:02x}" for code in range(128) if not member.match(chr(code)))
    return ascii_others + "\\x80-\\U0010ffff"


_AROUND_COMMA: Final = re.compile(" *, *")

_KEEP_ALL: Final = "*"  # as a weight: every line of the file, once


@dataclass(frozen=True)
class _CorpusFile:
    """One file per side of a corpus. stem: the common part of their names."""

    stem: str
    paths: tuple[str, ...]
    lines: int


@dataclass(frozen=True)
class _Rule:
    """A line of a `-gsample_dist` file: the weight of the files whose stem matches."""

    patterns: tuple[re.Pattern[str], ...]
    weight: float | None  # None: every line once

    def matches(self, stem: str) -> bool:
        """Whether the rule applies to the file `stem`."""
        return any(pattern.search(stem) for pattern in self.patterns)


@dataclass(frozen=True)
class FileSample:
    """The share of a file (one path per side) that is used."""

    stem: str
    paths: tuple[str, ...]
    lines: int = 0  # number of lines of the file; only set if lines are drawn
    drawn: int | None = None  # number of lines to draw with replacement; None: every line once

    def select(
        self, blocks: Iterable[tuple[Block, ...]], seed: int, epoch: int
    ) -> Iterator[tuple[Block, ...]]:
        """Select the used entries from the file's blocks: all of them, or the lines drawn for this epoch."""
        if self.drawn is None:
            yield from blocks
            return
        generator = numpy_generator(seed, f"gsample {self.stem}", epoch)
        drawn = np.sort(generator.integers(0, self.lines, self.drawn))
        start = 0
        for sides in blocks:
            first, last = np.searchsorted(drawn, (start, start + len(sides[0])))
            picked = (drawn[first:last] - start).tolist()
            if picked:
                yield tuple(_pick(block, picked) for block in sides)
            start += len(sides[0])


def _find_files(folder: str, suffixes: Sequence[str], pairs_of_lines: bool) -> list[_CorpusFile]:
    """Find the files of a folder that end with the first suffix, sorted by name, and the other sides' files.

    Raises DataError if the other side's file is missing, if (with `pairs_of_lines`) the numbers of lines of
    the sides differ, or if no file is found.
    """
    files = []
    for name in sorted(os.listdir(folder)):
        stem = name.removesuffix(suffixes[0])
        paths = tuple(os.path.join(folder, stem + suffix) for suffix in suffixes)
        if not name.endswith(suffixes[0]) or not os.path.isfile(paths[0]):
            continue
        for path in paths:
            if not os.path.isfile(path):
                raise DataError(f"{paths[0]}: the file of the other side, '{path}', is missing")
        files.append(_corpus_file(stem, paths, pairs_of_lines))
    if not files:
        raise DataError(f"-train_dir {folder}: there is no file whose name ends with '{suffixes[0]}'")
    return files


def _corpus_file(stem: str, paths: tuple[str, ...], pairs_of_lines: bool) -> _CorpusFile:
    counts = [count_lines(path) for path in paths]
    for path, count in zip(paths, counts, strict=True):
        if pairs_of_lines and count != counts[0]:
            raise unequal_files(paths[0], counts[0], path, count)
    return _CorpusFile(stem, paths, counts[-1])


def _read_rules(path: str) -> list[_Rule]:
    """Read the rules of a `-gsample_dist` file: on each line, comma-separated patterns (or `*`) and a weight.

    Raises DataError naming a malformed line, also for options after the weight, which Lua passes to hooks.
    """
    rules = []
    for number, line in enumerate(read_text_lines(path), start=1):
        fields = _AROUND_COMMA.sub(",", line.replace("\r", " ").replace("\t", " ")).split(" ")
        fields = [field for field in fields if field]
        if not fields:
            continue
        where = f"{path}, line {number}"
        if len(fields) > 2 and all("=" in field for field in fields[2:]):
            raise DataError(
                f"{where}: '{fields[2]}': options after the weight are not supported, leave them out"
            )
        if len(fields) != 2:
            raise DataError(f"{where}: expected 'pattern weight', found {len(fields)} fields")
        rules.append(_Rule(_patterns(fields[0], where), _weight(fields[1], where)))
    if not rules:
        raise DataError(f"{path}: there are no rules in this file")
    return rules


def _plan_sample(files: Sequence[_CorpusFile], rules: Sequence[_Rule], size: float) -> list[FileSample]:
    """Return the share of each file that is used; files without a rule, with weight 0 or empty are left out.

    size: the number of sentences to use, including those of files that are used whole. Below 1: the fraction
    of the lines of the sampled files. Rules that match no file don't count when weights are normalised. The
    files of one rule share its weight in proportion to their numbers of lines.
    """
    rule_of = [next((rule for rule in rules if rule.matches(file.stem)), None) for file in files]
    whole = sum(file.lines for file, rule in zip(files, rule_of, strict=True) if rule and rule.weight is None)
    lines_of_rule = {
        id(rule): sum(file.lines for file, owner in zip(files, rule_of, strict=True) if owner is rule)
        for rule in rules
    }
    used = [rule for rule in rules if rule.weight is not None and lines_of_rule[id(rule)]]
    total_weight = sum(rule.weight or 0.0 for rule in used)
    wanted = size * sum(lines_of_rule[id(rule)] for rule in used) if size < 1 else max(0.0, size - whole)
    samples = []
    for file, rule in zip(files, rule_of, strict=True):
        if rule is None or not file.lines:
            continue
        if rule.weight is None:
            samples.append(FileSample(file.stem, file.paths))
        elif rule.weight:
            share = rule.weight / total_weight * file.lines / lines_of_rule[id(rule)]
            drawn = math.ceil(wanted * share)
            samples.append(FileSample(file.stem, file.paths, file.lines, drawn))
    return samples


def training_files(options: DataOptions, sides: Sequence[Side], logger: Logger) -> list[FileSample]:
    """Return the training files that the options name and the share of each that is used; log both.

    Raises DataError if there are no files, or if the rules select none.
    """
    if not options.train_dir and not options.gsample:
        paths = tuple(side.train for side in sides)
        return [FileSample(Path(paths[0]).name, paths)]
    if options.train_dir:
        logger.info(f"Parsing training files from '{options.train_dir}'...")
        files = _find_files(
            options.train_dir, [side.suffix for side in sides], pairs_of_lines=not options.idx_files
        )
    else:
        paths = tuple(side.train for side in sides)
        files = [_corpus_file(Path(paths[0]).name, paths, pairs_of_lines=True)]
    logger.info(f" * {len(files)} files, {sum(file.lines for file in files)} lines")
    if not options.gsample:
        return [FileSample(file.stem, file.paths) for file in files if file.lines]
    rules = _read_rules(options.gsample_dist) if options.gsample_dist else [_Rule((re.compile(""),), 1.0)]
    samples = _plan_sample(files, rules, options.gsample)
    for file in files:
        sample = next((sample for sample in samples if sample.paths == file.paths), None)
        if sample is None:
            reason = "no rule gives it a weight" if file.lines else "it is empty"
            logger.warning(f"'{file.paths[0]}' is not used: {reason}")
        else:
            taken = "all" if sample.drawn is None else str(sample.drawn)
            logger.info(f" * '{file.paths[0]}': {taken} of {file.lines} lines")
    if not samples:
        raise DataError(f"{options.gsample_dist}: its rules select no training file")
    return samples


def _pick(block: Block, indices: Sequence[int]) -> Block:
    """Return the entries of a block at `indices`, which may repeat."""
    numbers = [block.numbers[index] for index in indices]
    if isinstance(block, ImageBlock):
        return ImageBlock(block.path, [block.images[index] for index in indices], numbers)
    assert isinstance(block, LineBlock), "only lines are drawn"
    lines = block.data.split(b"\n")
    data = b"".join(lines[index] + b"\n" for index in indices)
    return LineBlock(block.path, data, numbers)


def _patterns(field: str, where: str) -> tuple[re.Pattern[str], ...]:
    if field == "*":
        return (re.compile(""),)
    try:
        return tuple(_compile_lua_pattern(pattern) for pattern in field.split(",") if pattern)
    except OptionError as error:
        raise DataError(f"{where}: {error}") from error


def _weight(field: str, where: str) -> float | None:
    if field == _KEEP_ALL:
        return None
    try:
        weight = float(field)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise DataError(f"{where}: the weight must be a number from 0, or '*' for all lines, not '{field}'")
    return weight
