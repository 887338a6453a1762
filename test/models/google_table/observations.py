"""Observations of a model of google/seq2seq once it is built: shapes, numbers, updates, search settings.

`OBSERVATIONS` maps the names that rows use to functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from onmt.data.dataset import make_batch
from onmt.decoding.ensemble import SEARCH_FLAGS
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.translator import _settings_of
from onmt.errors import OptionError
from onmt.google.model import GoogleModel, read_model, spec_of
from onmt.google.settings import to_text
from onmt.models.lua import DataSizes
from onmt.models.networks import Seq2Seq, build_model
from onmt.modules.embeddings import Embeddings
from onmt.modules.generator import Loss
from onmt.modules.noise import Noise
from onmt.modules.rnn import RecurrentLayer, RecurrentStack
from onmt.spec.model import ModelSpec
from onmt.training.checkpoints import TrainingState
from onmt.training.distributed import Replicas
from onmt.training.optim import LearningRate
from onmt.training.options import TrainSeq2SeqOptions, implied_flags
from onmt.training.progress import Phases
from onmt.training.recipe import Recipe
from onmt.training.trainer import Trainer

WORDS = 20
FOUR, FIVE, SIX, NINE = 4, 5, 6, 9


@dataclass(frozen=True)
class Built:
    """A model with these parameters: its description, spec and network, each made when first asked for."""

    name: str
    params: Mapping[str, Any]

    @cached_property
    def model(self) -> GoogleModel:
        return read_model(self.name, self.params)

    @cached_property
    def spec(self) -> ModelSpec:
        if self.name != "Image2Seq":
            return spec_of(self.model, DataSizes((WORDS,), (WORDS,)))
        encoder = self.model.encoder.params
        return self.spec_for_images((encoder["resize_height"], encoder["resize_width"]))

    def spec_for_images(self, size: tuple[int, int]) -> ModelSpec:
        return spec_of(self.model, DataSizes((), (WORDS,), src_image_size=size))

    @cached_property
    def network(self) -> Seq2Seq:
        """The network with uninitialised weights."""
        network = build_model(self.spec)
        assert isinstance(network, Seq2Seq)
        return network

    @cached_property
    def new_network(self) -> Seq2Seq:
        """The network with the initial weights of a training."""
        self.network.initialise(0.1, torch.Generator().manual_seed(1))
        return self.network

    @property
    def implied(self) -> Mapping[str, Any]:
        """The flags that the parameters imply when training on text files."""
        return self._implied().values

    def _implied(self) -> Any:
        return implied_flags({"model": self.name, "model_params": to_text(self.params), "train_src": "text"})

    @property
    def without_effect(self) -> str:
        return " ".join(warning.rpartition(": ")[2] for warning in self._implied().warnings)

    def trained(self, steps: int) -> Mapping[str, torch.Tensor]:
        """Return each parameter's change in this many training steps, with all gradients 2, from zero."""
        options = TrainSeq2SeqOptions(model=self.name, model_params=to_text(self.params))
        network, recipe = self.network, Recipe.of(options)
        parameters = dict(network.named_parameters())
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.zero_()
        network.loss = lambda batch, step: Loss(  # type: ignore[method-assign]
            2 * sum(parameter.sum() for parameter in parameters.values()), 1, 1, torch.zeros(1)
        )
        trainer = Trainer(
            network,
            recipe.optimizer(network),
            SimpleNamespace(measure=lambda *_: None),  # type: ignore[arg-type]
            None,
            recipe,
            TrainingState(rate=LearningRate(recipe.schedule.rate)),  # type: ignore[union-attr]
            None,  # type: ignore[arg-type]
            SimpleNamespace(phases=Phases(False), logger=None),  # type: ignore[arg-type]
            Replicas(),
        )
        for iteration in range(1, steps + 1):
            trainer.step([SimpleNamespace(src_words=1, indices=None)], 1, iteration)  # type: ignore[arg-type]
        return {name: parameter.detach() for name, parameter in parameters.items()}


def tables(network: Seq2Seq) -> list[torch.Tensor]:
    """Return the tables of word vectors; a shared table is listed once."""
    return [module.words for module in network.modules() if isinstance(module, Embeddings)]


def largest_in(table: torch.Tensor) -> float:
    return round(float(table.detach().abs().max()), 2)


def rate(built: Built, steps: int) -> float:
    schedule = Recipe.of(TrainSeq2SeqOptions(model=built.name, model_params=to_text(built.params))).schedule
    assert schedule is not None
    return schedule.after(steps)


def length_of_update(built: Built) -> float:
    return float(torch.stack([part.norm() for part in built.trained(1).values()]).norm())


def length_of_table_update(built: Built) -> float:
    moved = built.trained(1)
    return max(float(moved[name].norm()) for name in moved if name.endswith("words"))


def search(built: Built, name: str) -> Any:
    options = TranslatorOptions(**{flag: built.implied[flag] for flag in SEARCH_FLAGS})
    return getattr(_settings_of(options, built.network), name)


def source(*ids: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([ids])[..., None], torch.tensor([len(ids)])


def encoded(built: Built, *ids: int) -> Any:
    """Return the encoding of a source with these ids, or of a fixed image for Image2Seq."""
    with torch.no_grad():
        if built.name == "Image2Seq":
            return built.network.encode(torch.zeros(1, 3, 23, 31), torch.tensor([1]))
        return built.network.encode(*source(*ids))


def encoded_places(built: Built, *ids: int) -> Any:
    """Return the encoding after every component of a word's vector is set to the word's id."""
    with torch.no_grad():
        built.network.source.words.copy_(torch.arange(WORDS)[:, None])  # type: ignore[operator, union-attr]
    return encoded(built, *ids)


def ids_read(built: Built) -> list[int]:
    return [int(one) for one in encoded_places(built, FOUR, FIVE, SIX).memory[0, :, 0]]


def pooled(built: Built) -> float:
    """Return the attention key at the word 4 of the source 4 9 5, wherever the encoder reads it."""
    found = encoded_places(built, FOUR, NINE, FIVE)
    place = int((found.memory[0, :, 0] == FOUR).nonzero()[0])
    return float(found.keys[0, place, 0])


def target_words(built: Built) -> int:
    """Return how many words the loss counts of a target of 60 words, 62 with start and end symbol."""
    tgt = np.array([[2, *[FOUR] * 60, 3]])[..., None]
    src = np.array([[[FIVE]]])
    if built.name == "Image2Seq":
        src = np.zeros((1, 3, 23, 31), dtype=np.uint8)
    one = np.ones(1, dtype=np.int64)
    return built.network.loss(make_batch(src, one, tgt, np.array([62]), one), None).words


def first_states(built: Built) -> float:
    """Return the decoder's initial state if encoder states are 2, bridge weights 0 and its bias -1."""
    network = built.network
    states = tuple(torch.full_like(state, 2.0) for state in encoded(built, FOUR).states)
    with torch.no_grad():
        for name, parameter in network.bridge.named_parameters():
            parameter.fill_(-1.0 if name == "bias" else 0.0)
        (value,) = {float(one) for state in network.bridge(states) for one in state.flatten()}
    return value


def widths(built: Built) -> tuple[int, int]:
    found = encoded(built, FOUR)
    return found.memory.shape[-1], (found.memory if found.keys is None else found.keys).shape[-1]


def attention(built: Built, name: str) -> tuple[int, ...] | None:
    found = dict(built.network.decoder.attention.named_parameters()).get(name)  # type: ignore[union-attr]
    return None if found is None else tuple(found.shape)


def modules_of(built: Built, side: str, kind: type) -> list[Any]:
    return [module for module in getattr(built.network, side).modules() if isinstance(module, kind)]


def cells(built: Built, side: str) -> list[tuple[int, int]]:
    """Return (input size, units) of each cell."""
    layers = modules_of(built, side, RecurrentLayer)
    return [(layer.weight_ih.shape[1], layer.hidden_size) for layer in layers]


def gates(built: Built, side: str) -> list[int]:
    return [len(layer.bias_ih) for layer in modules_of(built, side, RecurrentLayer)]


def largest_weight(built: Built, side: str) -> float:
    assert built.new_network is built.network
    layers = modules_of(built, side, RecurrentLayer)
    (largest,) = {largest_in(weight) for layer in layers for weight in (layer.weight_ih, layer.weight_hh)}
    return largest


def remembered(built: Built, side: str) -> list[float]:
    """Return the cell state of each LSTM after a step from 1, with zero parameters and zero input."""
    kept = []
    for layer in modules_of(built, side, RecurrentLayer):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.zero_()
            c, h = layer.zero_states(1)
            kept.append(float(layer.step(torch.zeros(1, layer.weight_ih.shape[1]), (c + 1, h))[0][0, 0]))
    return kept


def kept(built: Built, side: str, name: str) -> list[float]:
    """Return the factor that each layer's dropout mask `name` applies to kept values in training."""
    found = []
    for stack in modules_of(built, side, RecurrentStack):
        masks = stack.draw_masks(Noise(torch.Generator().manual_seed(1)), 30, 4)
        for mask in getattr(masks, name):
            found.append(1.0 if mask is None else float(mask.max()))
            if mask is not None:  # the factor makes up for the dropped values
                assert abs(float(mask.mean()) - 1) < 0.05
        assert stack.draw_masks(None, 30, 4) is None
    return found


def passed_on(built: Built, side: str) -> tuple[int, int]:
    """Return width and sum of the top layer's output if all cells output zeros and the input is ones."""
    network = built.network
    with torch.no_grad():
        for name, parameter in getattr(network, side).named_parameters():
            parameter.fill_(1 / parameter.shape[1] if name.endswith("entry.weight") else 0.0)
        if side == "encoder":
            network.source.words.fill_(1.0)  # type: ignore[operator, union-attr]
            output = encoded(built, FOUR).memory[0, 0]
        else:
            stack = network.decoder.stack
            output = stack.step(torch.ones(1, stack.input_size), stack.zero_states(1), None)[0][0]
    return len(output), round(float(output.sum()))


def convolutions(built: Built, name: str) -> tuple[int, int, int]:
    """Return (layers, units, kernel size)."""
    weights = list(getattr(built.network.encoder, name).weights)
    assert {(weight.shape[0], weight.shape[2]) for weight in weights} == {weights[0].shape[::2]}
    return len(weights), weights[0].shape[0], weights[0].shape[2]


def kept_words(built: Built) -> float:
    noise = Noise(torch.Generator().manual_seed(1))
    found = built.network.encoder.inputs(torch.ones(1, 30, 100), None, noise)  # type: ignore[operator, union-attr]
    assert abs(float(found.mean()) - 1) < 0.1
    return float(found.max())


def positioned(built: Built) -> float:
    inputs = built.network.encoder.inputs  # type: ignore[union-attr]
    return float(inputs(torch.full((1, 3, 100), 2.0), None, None)[0, 0, 0])  # type: ignore[operator]


def fitting_images(built: Built) -> list[tuple[int, int]]:
    """Return the sizes of prepared images that the model accepts."""
    found = []
    for size in ((299, 299), (151, 299), (299, 151), (151, 151)):
        try:
            built.spec_for_images(size)
            found.append(size)
        except OptionError:
            pass
    return found


def name_sides(seen: Callable[..., Any], name: str, *arguments: Any) -> dict[str, Callable[[Built], Any]]:
    """Return an observation for each of encoder and decoder, by name."""
    return {
        f"{side}: {name}": lambda built, side=side: seen(built, side, *arguments)
        for side in ("encoder", "decoder")
    }


OBSERVATIONS: Mapping[str, Callable[[Built], Any]] = {
    "two updates": lambda built: float(built.trained(2)["generator.biases.0"][0]),
    **{f"rate after {steps}": partial(rate, steps=steps) for steps in (10, 100, 150, 200, 500, 500000)},
    "length of an update": length_of_update,
    "length of a table's update": length_of_table_update,
    "settings without effect": lambda built: built.without_effect,
    "beam": partial(search, name="beam_size"),
    "length penalty": partial(search, name="length_norm"),
    "longest translation": partial(search, name="max_length"),
    "vocabulary of the source": lambda built: built.implied.get("src_vocab", ""),
    "vocabulary of the target": lambda built: built.implied.get("tgt_vocab", ""),
    "positions of 60 words": lambda built: encoded(built, *[FOUR] * 60).memory.shape[1],
    "words of 60": target_words,
    "ids that are read": ids_read,
    "tables": lambda built: [tuple(table.shape) for table in tables(built.network)],
    "largest in each table": lambda built: [largest_in(table) for table in tables(built.new_network)],
    "first states": first_states,
    "memory and keys": widths,
    "compared": lambda built: attention(built, "project_key.weight")[1],  # type: ignore[index]
    "units of attention": lambda built: attention(built, "project_query.weight")[0],  # type: ignore[index]
    "query and scores": lambda built: (
        attention(built, "project_query.weight"),
        attention(built, "score_weight"),
    ),
    "inputs of the decoder": lambda built: built.network.decoder.stack.input_size,
    **name_sides(largest_weight, "largest weight"),
    **name_sides(cells, "cells"),
    **name_sides(gates, "gates"),
    **name_sides(remembered, "remembered"),
    **name_sides(kept, "kept inputs", "inputs"),
    **name_sides(kept, "kept outputs", "outputs"),
    **name_sides(passed_on, "passed on"),
    "keys": partial(convolutions, name="keys"),
    "values": partial(convolutions, name="values"),
    "kept words": kept_words,
    "pooled 4 9 5": pooled,
    "a two comes first": positioned,
    "images that fit": fitting_images,
}
