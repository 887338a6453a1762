"""How results are written: attention, encodings and the search itself, in Lua's formats or as arrays."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from onmt.data.vocabulary import Vocabulary
from onmt.decoding.array_files import ArrayFile
from onmt.decoding.hypotheses import History
from onmt.decoding.sentences import Reference, Source
from onmt.decoding.translator import Hypothesis
from onmt.text.features import join_features

Values = npt.NDArray[Any]


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


def attention_block(index: int, text: str, hypothesis: Hypothesis, source: Source) -> str:
    """One hypothesis of `-save_attention`: a header, a line of weights per target word, an empty line.

    The weights over an image are those of its grid's places, row by row; its name stands for the words.
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
    weights = [" ".join(map(number, row)) for row in rows]
    return "\n".join([" ||| ".join(header), *weights, "", ""])


def encoding_line(index: int, encoding: npt.NDArray[np.float32]) -> str:
    """One sentence of `-dump_input_encoding`."""
    return " ".join([str(index), *map(number, encoding.tolist())])


def attention_array(hypothesis: Hypothesis, source: Source) -> npt.NDArray[np.float32]:
    """Weights, target words x source positions; no rows without attention."""
    if hypothesis.attention is None:
        return np.zeros((0, len(source)), dtype=np.float32)
    return hypothesis.attention


def beam_json(past: Sequence[History | None], vocabulary: Vocabulary) -> str:
    """`-save_beam_to` in Lua's format: words, parents (from 0) and sums of log-probabilities, each
    [sentence][step][slot], without each sentence's last step; null where a slot is empty, no step for a
    sentence (None) that was not searched.
    """
    content: dict[str, list[Any]] = {"predicted_ids": [], "beam_parent_ids": [], "scores": []}
    for one in past:
        steps = [] if one is None else [[vocabulary.word(i) for i in step] for step in one.tokens[:-1]]
        content["predicted_ids"].append(steps)
        content["beam_parent_ids"].append([] if one is None else one.parents[:-1].tolist())
        scores = [] if one is None else one.scores[:-1].tolist()
        content["scores"].append([list(_finite(step)) for step in scores])
    return json.dumps(content, ensure_ascii=False)


def write_beams(
    file: ArrayFile, past: Sequence[History | None], vocabulary: Vocabulary, beam_size: int
) -> None:
    """`-save_beam_to` as arrays N T K: sentences (None: nothing was searched), steps, slots of the beam.

    predicted_ids, beam_parent_ids: int64, -1 in dead slots and after a sentence's last step; scores, with
    which hypotheses compete (-inf: cut by the length limit without all constraints), and log_probs, sums
    before normalisation: float64, nan there. steps: N int64; target_words: the words of the ids.
    """
    steps = np.array([0 if one is None else len(one.tokens) for one in past], dtype=np.int64)
    used = max((_slots_used(one) for one in past if one is not None), default=0)
    slots = beam_size * max(1, math.ceil(used / beam_size))  # with constraints there are several beams
    shape = (len(past), int(steps.max(initial=0)), slots)

    def add(name: str, filler: float, kind: type[np.generic], field: Callable[[History], Values]) -> None:
        padded = (_padded(one, filler, kind, field, shape[1:]) for one in past)
        file.add_rows(name, shape, kind, padded)

    add("predicted_ids", -1, np.int64, lambda one: one.tokens)
    add("beam_parent_ids", -1, np.int64, lambda one: one.parents)
    add("scores", math.nan, np.float64, lambda one: one.ranks)
    add("log_probs", math.nan, np.float64, lambda one: one.totals)
    file.add("steps", steps)
    file.add("target_words", np.array(vocabulary.words, dtype=np.str_))


def _slots_used(history: History) -> int:
    """The last slot that ever held a hypothesis, counted from 1."""
    return int(np.flatnonzero(history.alive.any(axis=0)).max(initial=-1)) + 1


def _padded(
    history: History | None,
    filler: float,
    kind: type[np.generic],
    field: Callable[[History], Values],
    shape: tuple[int, int],
) -> Values:
    """One field of a sentence's search, steps x slots, filled up to this shape and where slots are dead."""
    padded = np.full(shape, filler, dtype=kind)
    if history is not None:
        alive = history.alive[:, : shape[1]]
        padded[: alive.shape[0], : alive.shape[1]][alive] = field(history)[:, : shape[1]][alive]
    return padded


def _finite(scores: Sequence[float]) -> Iterator[float | None]:
    return (score if math.isfinite(score) else None for score in scores)
