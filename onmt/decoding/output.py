"""Write translations, attention arrays, pictures and the summary of a run."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from onmt.data.vocabulary import Vocabulary
from onmt.decoding.array_files import ArrayFile
from onmt.decoding.hypotheses import History
from onmt.decoding.inputs import Reference, ResultFile, Source
from onmt.decoding.lexicon import word_of
from onmt.decoding.options import TranslateOptions
from onmt.decoding.pictures import AttentionPlots
from onmt.decoding.translator import Hypothesis, Translation, Translator
from onmt.errors import OptionError
from onmt.logger import Logger
from onmt.text.lines import join_features


@dataclass
class Scores:
    """Log-probabilities summed over words (`</s>` is in the sum, but not among the words)."""

    total: float = 0.0
    words: int = 0

    def add(self, score: float, words: int) -> None:
        """Count one sentence."""
        self.total += score
        self.words += words

    def line(self, name: str) -> str:
        """Mean per word and perplexity, as Lua's translate.lua logs them."""
        mean = _ratio(self.total, self.words)
        return f"{name} AVG SCORE: {mean:.2f}, {name} PPL: {_exp(-mean):.2f}"


@dataclass
class Coverage:
    """Counts of words and of unknown words."""

    words: int = 0
    unknown: int = 0

    def add(self, words: int, unknown: int) -> None:
        """Count one sentence."""
        self.words += words
        self.unknown += unknown

    @property
    def percent(self) -> str:
        """The share of unknown words, rounded down to a tenth of a percent."""
        share = _ratio(self.unknown * 1000, self.words)
        return f"{share if math.isnan(share) else math.floor(share) / 10:.14g}%"


class Timer:
    """Time spent inside `with timer.running():` blocks: elapsed, and of the processor for us and for the
    system.
    """

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
        """Averages per sentence."""
        logger.info(f"Average sentence {what} time (in seconds):")
        for name, seconds in (("real", self._real), ("user", self._user), ("sys", self._system)):
            logger.info(f"avg {name}\t{_ratio(seconds, sentences):.14g}")


def _ratio(total: float, count: int) -> float:
    """total / count; not a number where there is nothing to divide by."""
    return total / count if count else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


_Values = npt.NDArray[Any]


def number(value: float) -> str:
    """A number as Lua prints it: at most 14 significant digits."""
    return f"{value:.14g}"


def source_text(source: Source) -> str:
    """The words of a source with their features."""
    return " ".join(join_features(source.words, source.features))


def reference_text(reference: Reference) -> str:
    """Words with their features."""
    return " ".join(join_features(reference.words, reference.features))


def hypothesis_tokens(hypothesis: Hypothesis) -> list[str]:
    """The words of a translation with their features."""
    return join_features(hypothesis.words, hypothesis.features)


def _attention_block(index: int, text: str, hypothesis: Hypothesis, source: Source) -> str:
    """One hypothesis of `-save_attention`: a header, a line of weights per target word, an empty line.

    The weights over an image are those of its grid's places, row by row; its name stands for the words.
    Where the model can copy, the header ends in the probability of copying at each word.
    index: of the sentence, from 1; text: the hypothesis as it was written.
    """
    rows = [] if hypothesis.attention is None else hypothesis.attention.tolist()
    header = [str(index), text, f"{hypothesis.score:f}"]
    if source.picture is not None:
        places = 0 if hypothesis.attention is None else hypothesis.attention.shape[1]
        header += [source.picture.name, f"{places} {len(rows)}"]
    elif source.vectors is None:
        header += [source_text(source), f"{len(source)} {len(rows)}"]
    else:
        header += [str(len(rows))]
    if hypothesis.copying is not None:
        # With a point in each of them, they cannot be taken for the numbers of positions and words.
        header += [" ".join(f"{probability:.6f}" for probability in hypothesis.copying.tolist())]
    weights = [" ".join(map(number, row)) for row in rows]
    return "\n".join([" ||| ".join(header), *weights, "", ""])


def _encoding_line(index: int, encoding: npt.NDArray[np.float32]) -> str:
    """One sentence of `-dump_input_encoding`."""
    return " ".join([str(index), *map(number, encoding.tolist())])


def _attention_array(hypothesis: Hypothesis, source: Source) -> npt.NDArray[np.float32]:
    """Weights, target words x source positions; no rows without attention."""
    if hypothesis.attention is None:
        return np.zeros((0, len(source)), dtype=np.float32)
    return hypothesis.attention


def _beam_json(past: Sequence[History | None], vocabulary: Vocabulary) -> str:
    """`-save_beam_to` in Lua's format: words, parents (from 0) and sums of log-probabilities, each
    [sentence][step][slot], without each sentence's last step; null where a slot is empty, no step for a
    sentence (None) that was not searched.
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
    extra = history.extra_words
    return [[word_of(index, vocabulary, extra) for index in step] for step in history.tokens[:-1].tolist()]


def _write_beams(
    file: ArrayFile, past: Sequence[History | None], vocabulary: Vocabulary, beam_size: int
) -> None:
    """`-save_beam_to` as arrays N T K: sentences (None: nothing was searched), steps, slots of the beam.

    predicted_ids, beam_parent_ids: int64, -1 in dead slots and after a sentence's last step; scores, with
    which hypotheses compete (-inf: cut by the length limit without all constraints), and log_probs, sums
    before normalisation: float64, nan there. steps: N int64; target_words: the words of the ids, behind
    those of the vocabulary the others that could be copied from some source.
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
    add("scores", math.nan, np.float64, lambda one: one.ranks)
    add("log_probs", math.nan, np.float64, lambda one: one.totals)
    file.add("steps", steps)
    file.add("target_words", np.array([*vocabulary.words, *words], dtype=np.str_))


def _renumbered(history: History, known: int, places: Mapping[str, int]) -> _Values:
    """The tokens with the ids that words beyond the `known` ones have in a file of many sentences."""
    if not history.extra_words:
        return history.tokens
    ids = np.array([*range(known), *(places[word] for word in history.extra_words)], dtype=np.int64)
    return np.asarray(ids[history.tokens])


def _slots_used(history: History) -> int:
    """The last slot that ever held a hypothesis, counted from 1."""
    return int(np.flatnonzero(history.alive.any(axis=0)).max(initial=-1)) + 1


def _padded(
    history: History | None,
    filler: float,
    kind: type[np.generic],
    field: Callable[[History], _Values],
    shape: tuple[int, int],
) -> _Values:
    """One field of a sentence's search, steps x slots, filled up to this shape and where slots are dead."""
    padded = np.full(shape, filler, dtype=kind)
    if history is not None:
        alive = history.alive[:, : shape[1]]
        padded[: alive.shape[0], : alive.shape[1]][alive] = field(history)[:, : shape[1]][alive]
    return padded


def _finite(scores: Sequence[float]) -> Iterator[float | None]:
    return (score if math.isfinite(score) else None for score in scores)


class Results:
    """Takes results in the order of the input; use as a context manager, and `finish` at the end.

    Raises DataError when a file cannot be written, OptionError for pictures that cannot be.
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
        """Write the results of a source without tokens, so that files without numbers of sentences stay in
        step with the input: -n_best empty translations, or one empty line instead of an encoding.
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
        """Write the translations of a sentence; index: its number, from 1; texts: the hypotheses as they are
        to be written.
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
        """Write what can be written only when all is known."""
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
