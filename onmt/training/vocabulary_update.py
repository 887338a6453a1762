"""`-update_vocab`: a model goes on with the vocabularies of new data.

Rows of words that both vocabularies have are kept (and, unlike in OpenNMT Lua, their biases in the
generator and their part of the optimiser's state); rows of new words are zero, in the optimiser's state what
it begins with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import OptionError
from onmt.spec.model import EmbeddingSpec, ModelSpec, TableSpec

_TABLES = {"source.words": ("src", 0), "decoder.embeddings.words": ("tgt", 0)}
_NUMBERED = {
    "source.features.": ("src", 1),
    "decoder.embeddings.features.": ("tgt", 1),
    "generator.weights.": ("tgt", 0),
    "generator.biases.": ("tgt", 0),
}


@dataclass(frozen=True)
class VocabularyUpdate:
    """From the vocabularies that a model has to those that it shall have."""

    old: Vocabularies
    new: Vocabularies

    def spec(self, spec: ModelSpec) -> ModelSpec:
        """The description of the model with the new sizes."""
        if spec.transitions:
            raise OptionError("-update_vocab cannot be used with -loglikelihood sentence")
        decoder = spec.decoder
        if decoder is not None:
            decoder = replace(decoder, embedding=_resized(decoder.embedding, self.new.tgt))
        source = spec.source
        if isinstance(source, EmbeddingSpec):
            source = _resized(source, self.new.src)
        outputs = tuple(len(vocabulary) for vocabulary in self.new.tgt or self.new.src)
        return replace(spec, source=source, decoder=decoder, outputs=outputs)

    def tensors(self, tensors: Mapping[str, Tensor], of_new_words: float = 0.0) -> dict[str, Tensor]:
        """Weights, or what an optimiser gathered for them, by parameter name: rows moved to the new ids."""
        return {name: self._moved(name, tensor, of_new_words) for name, tensor in tensors.items()}

    def optimizer_state(self, state: Mapping[str, Any], initial: Mapping[str, float]) -> dict[str, Any]:
        """The state of an optimiser (see `Optimizer.to_state`) for the new parameters; initial: see
        `Optimizer.initial_values`.
        """
        gathered = {
            slot: self.tensors(tensors, initial.get(slot, 0.0)) for slot, tensors in state["gathered"].items()
        }
        return {**state, "gathered": gathered}

    def _moved(self, name: str, tensor: Tensor, of_new_words: float) -> Tensor:
        place = _place(name)
        if place is None:
            return tensor
        side, index = place
        # A language model predicts what it reads: it has one vocabulary, the source.
        old = (self.old.tgt or self.old.src) if side == "tgt" else self.old.src
        new = (self.new.tgt or self.new.src) if side == "tgt" else self.new.src
        return _move_rows(tensor, old[index], new[index], of_new_words)


def updated_vocabularies(
    model: Vocabularies, data: Vocabularies, how: Literal["replace", "merge"]
) -> Vocabularies:
    """The data's vocabularies; with `merge` the words that only the model knows follow them."""
    if (len(model.src), len(model.tgt)) != (len(data.src), len(data.tgt)):
        raise OptionError("-update_vocab: the data has another number of word features than the model")
    if how == "replace":
        return data
    return replace(
        data,
        src=tuple(map(_merged, model.src, data.src)),
        tgt=tuple(map(_merged, model.tgt, data.tgt)),
    )


def _move_rows(tensor: Tensor, old: Vocabulary, new: Vocabulary, of_new_words: float) -> Tensor:
    """V ... rows of the old ids as rows of the new ones; those of new words hold `of_new_words`."""
    common = [(index, old.id(word)) for index, word in enumerate(new.words) if word in old]
    to, origin = torch.tensor(common).unbind(1)
    moved = tensor.new_full((len(new), *tensor.shape[1:]), of_new_words)
    moved[to] = tensor[origin]
    return moved


def _merged(model: Vocabulary, data: Vocabulary) -> Vocabulary:
    return Vocabulary([*data.words, *(word for word in model.words if word not in data)])


def _place(name: str) -> tuple[str, int] | None:
    """The vocabulary that a parameter has rows for: its side, and its number on that side."""
    if name in _TABLES:
        return _TABLES[name]
    for prefix, (side, first) in _NUMBERED.items():
        if name.startswith(prefix):
            return side, first + int(name.removeprefix(prefix))
    return None


def _resized(spec: EmbeddingSpec, vocabularies: tuple[Vocabulary, ...]) -> EmbeddingSpec:
    tables = zip(spec.tables, vocabularies, strict=True)
    return replace(spec, tables=tuple(TableSpec(size=len(words), dim=table.dim) for table, words in tables))
