"""How results are written: attention, encodings and the search itself, in Lua's formats."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from onmt.data.vocabulary import Vocabulary
from onmt.decoding.hypotheses import History
from onmt.decoding.sentences import Reference, Source
from onmt.decoding.translator import Hypothesis
from onmt.text.features import join_features


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


def beam_json(past: Sequence[History], vocabulary: Vocabulary) -> str:
    """`-save_beam_to`: words, parents (from 0) and scores, each [sentence][step][slot]; null where a slot is
    empty.
    """
    content: dict[str, list[Any]] = {
        "predicted_ids": [[[vocabulary.word(i) for i in step] for step in one.tokens] for one in past],
        "beam_parent_ids": [one.parents for one in past],
        "scores": [[list(_finite(step)) for step in one.scores] for one in past],
    }
    return json.dumps(content, ensure_ascii=False)


def _finite(scores: Sequence[float]) -> Iterator[float | None]:
    return (score if math.isfinite(score) else None for score in scores)
