"""A model of two dozen random numbers, and a beam search that follows one sentence with plain lists."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from onmt.constants import BOS, EOS, PAD, SPECIAL_WORDS, UNK
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.step import SearchSettings
from onmt.models.base import Step
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.decoder import DecoderState
from onmt.modules.encoding import Encoding, padding_mask


class ToyModel:
    """h' = tanh(A[y] + B h), p = softmax(C h), attention softmax(h . m); in double precision."""

    def __init__(self, seed: int, words: int = 9, labels: tuple[int, ...] = (), size: int = 4) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.tables = [draw(count, size) for count in (words, *labels)]
        self.recurrent = draw(size, size)
        self.outputs = [draw(size, count) for count in (words, *labels)]
        self.positions = draw(50, size)

    def encode(self, lengths: Sequence[int]) -> Encoding:
        """Encode sentences of these lengths: the memory is the first positions of one table."""
        counts = torch.tensor(lengths)
        mask = padding_mask(counts, max(lengths))
        memory = self.positions[: max(lengths)] * mask[:, :, None]
        return Encoding(memory, counts, mask, (memory.sum(dim=1),))

    def start(self, encoding: Encoding) -> DecoderState:
        return DecoderState(encoding.states, None, encoding.memory, encoding.memory, encoding.mask)

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        hidden = state.hidden[0] @ self.recurrent
        for column, table in enumerate(self.tables):
            hidden = hidden + table[tokens[:, column]]
        hidden = torch.tanh(hidden)
        attention = None
        if state.memory is not None:
            rows = hidden.view(len(state.memory), -1, hidden.shape[1])
            scores = rows @ state.memory.transpose(1, 2)
            attention = scores.masked_fill(~state.mask[:, None], -torch.inf).softmax(dim=2).flatten(0, 1)
        log_probs = tuple(torch.log_softmax(hidden @ output, dim=1) for output in self.outputs)
        return Step(log_probs, attention, DecoderState((hidden,), None, state.keys, state.memory, state.mask))


@dataclass
class Path:
    """A hypothesis of the plain search."""

    tokens: list[int]
    labels: list[tuple[int, ...]]
    score: float
    state: DecoderState
    attention: list[np.ndarray]
    rank: float = -math.inf

    @property
    def ended(self) -> bool:
        return self.tokens[-1] == EOS


class PlainSearch:
    """Lua's search of one sentence with lists; the search with tensors must agree with it."""

    def __init__(
        self, model: ToyModel, length: int, settings: SearchSettings, start: tuple[int, ...]
    ) -> None:
        self.model, self.length, self.settings, self.start = model, length, settings, start

    def run(self) -> list[Path]:
        settings = self.settings
        state = self.model.start(self.model.encode([self.length]))
        live = [Path([BOS], [self.start], 0.0, state, [])]
        stored: list[Path] = []
        for step in range(1, settings.max_length + 2):
            live = self.best([c for path in live for c in self.continued(path, step)], step)
            for path in live:
                path.rank = self.rank(path, step + 1)
            last = step > settings.max_length
            top, complete = self.merged(stored, live, last)
            if complete or all(path.score == -math.inf for path in live):
                return top
            stored += [path for path in live if path.ended and path.rank > -math.inf]
            stored.sort(key=lambda path: -path.rank)
            live = [path for path in live if not path.ended]
        raise AssertionError

    def continued(self, path: Path, step: int) -> list[Path]:
        output = self.model.step(torch.tensor([[path.tokens[-1], *path.labels[-1]]]), path.state)
        words, *features = (scores[0] for scores in output.log_probs)
        labels = tuple(int(scores.argmax()) for scores in features)
        found = []
        for token, log_prob in enumerate(words.tolist()):
            if token == EOS and self.settings.eos_norm > 0:
                log_prob *= self.settings.eos_norm * self.length / step
            attention = [*path.attention, output.attention[0].numpy()]
            found.append(
                Path(
                    [*path.tokens, token],
                    [*path.labels, labels],
                    path.score + log_prob,
                    output.state,
                    attention,
                )
            )
        return found

    def best(self, candidates: list[Path], step: int) -> list[Path]:
        settings = self.settings
        for path in candidates:
            path.rank = self.rank(path, step)
        candidates.sort(key=lambda path: -path.rank)
        considered = candidates[: settings.beam_size * settings.pre_filter_factor]
        for path in considered:
            unknowns = path.tokens.count(UNK)
            limit = settings.max_unknowns
            if (step == 1 and path.ended) or (limit is not None and unknowns > limit):
                path.score = path.rank = -math.inf
        considered.sort(key=lambda path: -path.rank)
        return considered[: settings.beam_size]

    def rank(self, path: Path, steps: int) -> float:
        settings = self.settings
        coverage = 1e-4 + np.sum(path.attention, axis=0)
        penalty = settings.coverage_norm * float(np.log(np.minimum(coverage, 1)).sum())
        return path.score / ((5 + steps) / 6) ** settings.length_norm + penalty

    def merged(self, stored: list[Path], live: list[Path], last: bool) -> tuple[list[Path], bool]:
        stored, live, complete, top = list(stored), sorted(live, key=lambda path: -path.rank), True, []
        dead = Path([BOS, PAD], [], -math.inf, None, [])  # type: ignore[arg-type]
        for _ in range(self.settings.n_best):
            turn = live[0] if live else dead
            if stored and stored[0].rank > turn.rank:
                top.append(stored.pop(0))
                continue
            complete = complete and (turn.ended or last)
            top.append(live.pop(0) if live else dead)
        return top, complete


@pytest.fixture
def toy_model() -> type[ToyModel]:
    return ToyModel


@pytest.fixture
def plain_search() -> Callable[[ToyModel, int, SearchSettings, tuple[int, ...]], list[Path]]:
    def search(
        model: ToyModel, length: int, settings: SearchSettings, start: tuple[int, ...] = ()
    ) -> list[Path]:
        return PlainSearch(model, length, settings, start).run()

    return search


WORDS = ("a", "b", "c", "d")


def vocabulary(*words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_WORDS, *words])


def tiny_model(vocabularies: Vocabularies, shifted: bool = True, **flags: object) -> Seq2Seq:
    """A translation model of a few units with large random weights, so that outputs differ."""
    sizes = DataSizes(
        src=tuple(map(len, vocabularies.src)),
        tgt=tuple(map(len, vocabularies.tgt)),
        src_vector_size=vocabularies.src_vector_size,
        features_shifted=shifted,
    )
    options = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5, **flags)
    model = build_model(spec_from_options(options, sizes))
    model.initialise(1.0, torch.Generator().manual_seed(7))
    assert isinstance(model, Seq2Seq)
    return model


@pytest.fixture
def plain_vocabularies() -> Vocabularies:
    return Vocabularies(src=(vocabulary(*WORDS),), tgt=(vocabulary("w", "x", "y", "z"),))


@pytest.fixture
def feature_vocabularies() -> Vocabularies:
    return Vocabularies(
        src=(vocabulary(*WORDS), vocabulary("F", "G")),
        tgt=(vocabulary("w", "x", "y", "z"), vocabulary("P", "Q")),
    )


@pytest.fixture
def make_model() -> Callable[..., Seq2Seq]:
    return tiny_model
