"""Write translations, attention, the search and pictures; measure time."""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from onmt.data.vocabulary import Vocabulary
from onmt.decoding.array_files import ArrayFile
from onmt.decoding.hypotheses import History
from onmt.decoding.inputs import Source
from onmt.decoding.lexicon import ExtendedVocabulary
from onmt.decoding.options import TranslateOptions
from onmt.decoding.pictures import AttentionPlots
from onmt.decoding.translator import Hypothesis, Translation, Translator
from onmt.errors import DataError, OptionError
from onmt.logger import Logger


class ResultFile:
    """A file of results: standard output for `-`, no file for an empty name.

    An existing file keeps its content until the first result: a run that fails earlier changes nothing.
    Raises DataError when the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._existed = Path(path).exists()
        self._begun = path in ("", "-")

    def __enter__(self) -> Self:
        if self._path == "-":
            self._file = sys.stdout.buffer
        elif self._path:
            with self._writing():
                self._file = Path(self._path).open("ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is None or self._path == "-":
            return
        if error is None:
            self._begin()
        with self._writing():
            self._file.close()
        if not self._begun and not self._existed:
            Path(self._path).unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Append text."""
        if self._file is not None:
            self._begin()
            with self._writing():
                self._file.write(text.encode("utf-8"))

    def _begin(self) -> None:
        """Empty the file, once."""
        if self._file is not None and not self._begun:
            self._begun = True
            with self._writing():
                if Path(self._path).is_file():
                    self._file.truncate(0)

    def flush(self) -> None:
        """Flush, so that other programs can read the output so far."""
        if self._file is not None:
            with self._writing():
                self._file.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader has closed the pipe: not an error to report
            raise
        except OSError as error:
            raise DataError(f"{self._path}: cannot write: {error.strerror}") from error


class Timer:
    """Time spent in `with timer.running():` blocks: elapsed, and the processor's in user and system mode."""

    def __init__(self) -> None:
        self._real = self._user = self._system = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the block."""
        real, cpu = time.perf_counter(), os.times()
        yield
        now = os.times()
        self._real += time.perf_counter() - real
        self._user += now.user - cpu.user
        self._system += now.system - cpu.system

    def log(self, logger: Logger, what: str, sentences: int) -> None:
        """Log the averages per sentence."""
        logger.info(f"Average sentence {what} time (in seconds):")
        for name, seconds in (("real", self._real), ("user", self._user), ("sys", self._system)):
            average = seconds / sentences if sentences else math.nan
            logger.info(f"avg {name}\t{_number(average)}")


_Values = npt.NDArray[Any]


def _number(value: float) -> str:
    """A number as Lua prints it: at most 14 significant digits."""
    return f"{value:.14g}"


def _attention_block(index: int, text: str, hypothesis: Hypothesis, source: Source) -> str:
    """One hypothesis of `-save_attention`: a header, a line of weights per target word, an empty line.

    The weights over an image are those of its grid, row by row; its name stands in place of the words.
    Where the model can copy, the header ends with the probability of copying at each word.
    index: number of the sentence, from 1; text: the hypothesis as written to the output.
    """
    rows = [] if hypothesis.attention is None else hypothesis.attention.tolist()
    header = [str(index), text, f"{hypothesis.score:f}"]
    if source.picture is not None:
        places = 0 if hypothesis.attention is None else hypothesis.attention.shape[1]
        header += [source.picture.name, f"{places} {len(rows)}"]
    elif source.vectors is None:
        header += [source.text, f"{len(source)} {len(rows)}"]
    else:
        header += [str(len(rows))]
    if hypothesis.copying is not None:
        # The decimal points distinguish them from the numbers of positions and words.
        header += [" ".join(f"{probability:.6f}" for probability in hypothesis.copying.tolist())]
    weights = [" ".join(map(_number, row)) for row in rows]
    return "\n".join([" ||| ".join(header), *weights, "", ""])


def _encoding_line(index: int, encoding: npt.NDArray[np.float32]) -> str:
    """One sentence of `-dump_input_encoding`."""
    return " ".join([str(index), *map(_number, encoding.tolist())])


def _attention_array(hypothesis: Hypothesis, source: Source) -> npt.NDArray[np.float32]:
    """The weights, target words x source positions; no rows without attention."""
    if hypothesis.attention is None:
        return np.zeros((0, len(source)), dtype=np.float32)
    return hypothesis.attention


def _beam_json(past: Sequence[History | None], vocabulary: Vocabulary) -> str:
    """`-save_beam_to` in Lua's format: words, parents (from 0) and sums of log-probabilities.

    Each is [sentence][step][slot], without each sentence's last step. Scores of empty slots are null. A
    sentence (None) that was not searched has no steps.
    """
    content: dict[str, list[Any]] = {"predicted_ids": [], "beam_parent_ids": [], "scores": []}
    for one in past:
        steps = [] if one is None else _words_of_steps(one, vocabulary)
        content["predicted_ids"].append(steps)
        content["beam_parent_ids"].append([] if one is None else one.parents[:-1].tolist())
        scores = [] if one is None else one.scores[:-1].tolist()
        content["scores"].append([list(_finite(step)) for step in scores])
    return json.dumps(content, ensure_ascii=False)


def _words_of_steps(history: History, vocabulary: Vocabulary) -> list[list[str]]:
    extended = ExtendedVocabulary(vocabulary, history.extra_words)
    return [list(map(extended.word, step)) for step in history.tokens[:-1].tolist()]


def _write_beams(
    file: ArrayFile, past: Sequence[History | None], vocabulary: Vocabulary, beam_size: int
) -> None:
    """Write `-save_beam_to` as arrays N T K: sentences (None: not searched), steps, slots of the beam.

    predicted_ids, beam_parent_ids: int64, -1 in dead slots and after a sentence's last step; scores by which
    hypotheses are ranked (-inf: cut by the length limit without all constraints) and log_probs, sums before
    normalisation: float64, nan there. steps: N int64; target_words: the words of the ids, first those of the
    vocabulary, then the others that could be copied from some source.
    """
    words = list(dict.fromkeys(word for one in past if one is not None for word in one.extra_words))
    places = {word: len(vocabulary) + place for place, word in enumerate(words)}
    steps = np.array([0 if one is None else len(one.tokens) for one in past], dtype=np.int64)
    used = max((_slots_used(one) for one in past if one is not None), default=0)
    slots = beam_size * max(1, math.ceil(used / beam_size))  # with constraints there are several beams
    shape = (len(past), int(steps.max(initial=0)), slots)

    def add(name: str, filler: float, kind: type[np.generic], field: Callable[[History], _Values]) -> None:
        padded = (_padded(one, filler, kind, field, shape[1:]) for one in past)
        file.add_rows(name, shape, kind, padded)

    add("predicted_ids", -1, np.int64, lambda one: _renumbered(one, len(vocabulary), places))
    add("beam_parent_ids", -1, np.int64, lambda one: one.parents)
    add("scores", math.nan, np.float64, lambda one: one.normalised)
    add("log_probs", math.nan, np.float64, lambda one: one.totals)
    file.add("steps", steps)
    file.add("target_words", np.array([*vocabulary.words, *words], dtype=np.str_))


def _renumbered(history: History, known: int, places: Mapping[str, int]) -> _Values:
    """The tokens with the ids of the file, which numbers the extra words of all sentences together.

    known: size of the vocabulary; places: the file's ids of extra words.
    """
    if not history.extra_words:
        return history.tokens
    ids = np.array([*range(known), *(places[word] for word in history.extra_words)], dtype=np.int64)
    return np.asarray(ids[history.tokens])


def _slots_used(history: History) -> int:
    """The highest slot that ever held a hypothesis, counted from 1."""
    return int(np.flatnonzero(history.alive.any(axis=0)).max(initial=-1)) + 1


def _padded(
    history: History | None,
    filler: float,
    kind: type[np.generic],
    field: Callable[[History], _Values],
    shape: tuple[int, int],
) -> _Values:
    """One field of a sentence's search, steps x slots, with `filler` in dead slots and up to this shape."""
    padded = np.full(shape, filler, dtype=kind)
    if history is not None:
        alive = history.alive[:, : shape[1]]
        padded[: alive.shape[0], : alive.shape[1]][alive] = field(history)[:, : shape[1]][alive]
    return padded


def _finite(scores: Sequence[float]) -> Iterator[float | None]:
    return (score if math.isfinite(score) else None for score in scores)


class Results:
    """Writes results, given in the order of the input. Use as a context manager; call `finish` at the end.

    Raises DataError when a file cannot be written, OptionError for pictures that cannot be drawn.
    """

    def __init__(self, options: TranslateOptions, translator: Translator) -> None:
        attention, beams = options.save_attention, options.save_beam_to
        self._options = options
        self._translator = translator
        self._output = ResultFile(options.output)
        self._attention_arrays = ArrayFile(attention) if ArrayFile.has_suffix(attention) else None
        self._attention_text = ResultFile("" if self._attention_arrays else attention)
        self._beam_arrays = ArrayFile(beams) if ArrayFile.has_suffix(beams) else None
        self._beam_text = ResultFile("" if self._beam_arrays else beams)
        self._past: list[History | None] = []
        self._plots: AttentionPlots | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._options.plot_attention:
                self._plots = self._open_plots()
            stack.enter_context(self._output)
            stack.enter_context(self._attention_arrays or self._attention_text)
            stack.enter_context(self._beam_arrays or self._beam_text)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def empty(self) -> None:
        """Write the results of a source without tokens: -n_best empty translations or an empty encoding.

        So files without numbers of sentences stay in step with the input.
        """
        if self._options.dump_input_encoding:
            self._output.write("\n")
            return
        for _ in range(self._options.n_best):
            self._output.write("\n")
            if self._attention_arrays is not None:
                self._attention_arrays.add_attention(np.zeros((0, 0), dtype=np.float32))
        if self._options.save_beam_to:
            self._past.append(None)

    def encoding(self, index: int, encoding: npt.NDArray[np.float32]) -> None:
        """Write the encoding of a sentence; index: its number, from 1."""
        self._output.write(_encoding_line(index, encoding) + "\n")

    def translation(self, index: int, source: Source, translation: Translation, texts: Sequence[str]) -> None:
        """Write the translations of a sentence.

        index: its number, from 1; texts: the hypotheses as the output shows them.
        """
        for text, hypothesis in zip(texts, translation.hypotheses, strict=True):
            self._output.write(text + "\n")
            if self._attention_arrays is not None:
                weights = _attention_array(hypothesis, source)
                self._attention_arrays.add_attention(weights, hypothesis.copying)
            elif self._options.save_attention:
                self._attention_text.write(_attention_block(index, text, hypothesis, source))
        if self._options.save_beam_to:
            self._past.append(translation.history)
        if self._plots is not None:
            self._plot(self._plots, index, source, translation.hypotheses[0])

    def flush(self) -> None:
        """Flush, so that other programs can read the output so far."""
        self._output.flush()
        self._attention_text.flush()

    def finish(self) -> None:
        """Write the files that need the results of all sentences."""
        words = self._translator.target_vocabulary
        if self._beam_arrays is not None:
            _write_beams(self._beam_arrays, self._past, words, self._options.beam_size)
        elif self._options.save_beam_to:
            self._beam_text.write(_beam_json(self._past, words))

    def _open_plots(self) -> AttentionPlots:
        if not self._translator.attends:
            raise OptionError("-plot_attention needs a model with attention; this one has none")
        plots = AttentionPlots(self._options.plot_attention)
        if self._translator.image_size is not None:
            plots.refuse_to_overwrite()
        return plots

    def _plot(self, plots: AttentionPlots, index: int, source: Source, best: Hypothesis) -> None:
        weights = best.attention
        if weights is None or weights.size == 0:
            return
        grid = self._translator.image_grid
        if source.picture is not None and grid is not None:
            plots.image(index, best.words, source.picture.colours, grid, weights)
            return
        width = weights.shape[1]
        words = source.words if len(source.words) == width else [str(place + 1) for place in range(width)]
        plots.table(index, best.words, words, weights)
