"""Small models with random weights."""

import torch

from onmt.checkpoint import save_checkpoint
from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import build_model


def vocabulary(*words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_WORDS, *words])


SOURCE, TARGET = vocabulary("a", "b", "c"), vocabulary("x", "y", "z")
OTHER_SOURCE = vocabulary("c", "q", "a")


def save(path: str, options, vocabularies: Vocabularies, data_type: str) -> None:
    """Write a model with these options and random weights."""
    sizes = DataSizes(
        src=tuple(map(len, vocabularies.src)),
        tgt=tuple(map(len, vocabularies.tgt)),
        src_vector_size=vocabularies.src_vector_size,
    )
    spec = spec_from_options(options, sizes)
    model = build_model(spec)
    model.initialise(1.0, torch.Generator().manual_seed(5))
    content = {
        "format": 1,
        "version": "0",
        "data_type": data_type,
        "spec": spec.to_state(),
        "options": {},
        "vocabularies": vocabularies.to_state(),
        "weights": {name: parameter.detach() for name, parameter in model.named_parameters()},
    }
    save_checkpoint(path, content)
