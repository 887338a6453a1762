"""The models that translate together, one or several, and how a stored model wants to be searched."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeVar

import torch
from torch import Tensor

from onmt.commandline.values import check_options, options_from_dict, options_to_dict, replace_options
from onmt.constants import PAD
from onmt.data.dataset import Batch
from onmt.data.vocabulary import Vocabularies
from onmt.decoding.inputs import Reference, Source, batch_of
from onmt.decoding.lexicon import copies, with_copies
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.scoring import (
    Average,
    BatchInvariantScorer,
    EnsembleScorer,
    FusedScorer,
    ModelScorer,
    RestrictedModel,
    Scorer,
    averaged,
    fillers_for,
    with_fillers,
    with_repeated,
)
from onmt.errors import OptionError
from onmt.models.loading import LoadedModel
from onmt.models.networks import LanguageModel, Seq2Seq
from onmt.modules.encoding import Encoding, padding_mask
from onmt.spec.inception import grid_at
from onmt.spec.layers import InceptionEncoderSpec, PyramidalEncoderSpec


class Member:
    """A model with its own source vocabulary."""

    def __init__(self, model: Seq2Seq, vocabularies: Vocabularies, allowed: Tensor | None) -> None:
        """allowed: ids of the target words that may be used, None: all."""
        self.model = model
        self.vocabularies = vocabularies
        self.device = next(model.parameters()).device
        self.stepper = model if allowed is None else RestrictedModel(model, allowed)

    @property
    def attends(self) -> bool:
        """The model has attention."""
        assert self.model.spec.decoder is not None
        return self.model.spec.decoder.attention.attends

    @property
    def image_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the grid over which attention to an image is; None: sources are no images."""
        size, encoder = self.vocabularies.src_image_size, self.model.spec.encoder
        if size is None or not isinstance(encoder, InceptionEncoderSpec):
            return None
        return grid_at(encoder.endpoint, size.height, size.width)

    @property
    def resolution(self) -> float:
        """Positions to which attention can go: per source position, or of the grid over an image."""
        grid, encoder = self.image_grid, self.model.spec.encoder
        if grid is not None:
            return grid[0] * grid[1]
        if isinstance(encoder, PyramidalEncoderSpec):
            return 1 / encoder.reduction ** (encoder.stack.layers - 1)
        return 1

    def batch(self, sources: Sequence[Source], gold: Sequence[Reference] | None) -> Batch:
        """The sources, none of them empty, and references with this model's ids."""
        shifted = self.model.spec.policies.features_shifted
        batch = batch_of(sources, gold, self.vocabularies, shifted)
        if copies(self.model):
            batch = with_copies(batch, sources, gold, self.vocabularies.tgt[0])
        return batch.to(self.device)

    def encode(self, batch: Batch) -> Encoding:
        """The sources of a batch."""
        return self.model.encode(batch.src, batch.src_lengths, batch.lengths_on_host, batch.copies)


@dataclass(frozen=True)
class Fusion:
    """A language model whose log-probabilities, times `weight`, are added at every step."""

    model: LanguageModel
    weight: float


class Ensemble:
    """Models with one target vocabulary; what they predict is averaged at every step."""

    def __init__(
        self, members: Sequence[Member], average: Average, fusion: Fusion | None, batch_invariant: bool
    ) -> None:
        self._members = members
        self._average = average
        self._fusion = fusion
        models: list[Seq2Seq | LanguageModel] = [member.model for member in members]
        if fusion is not None:
            models.append(fusion.model)
        self._fillers = max(map(fillers_for, models)) if batch_invariant else 0
        attending = [place for place, member in enumerate(members) if member.attends]
        finest = max((members[place].resolution for place in attending), default=0)
        self._looking = [place for place in attending if members[place].resolution == finest] or [0]
        """Models whose attention is averaged: of those that have any, the ones of the finest resolution."""

    @property
    def first(self) -> Member:
        """The model that says how to search."""
        return self._members[0]

    @property
    def attends(self) -> bool:
        """Translations come with attention."""
        return self._members[self._looking[0]].attends

    @property
    def image_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the grid over which attention to an image is."""
        return self._members[self._looking[0]].image_grid

    def batches(self, sources: Sequence[Source], gold: Sequence[Reference] | None) -> list[Batch]:
        """The sources, none of them empty, and references as each model reads them."""
        return [member.batch(sources, gold) for member in self._members]

    def gold_scores(self, batches: Sequence[Batch]) -> list[float]:
        """Log-probability of each reference's words and `</s>`."""
        pairs = list(zip(self._members, batches, strict=True))
        if len(pairs) == 1:
            scores = self.first.model.score(batches[0])
        else:
            words = averaged([member.model.word_scores(batch) for member, batch in pairs], self._average)
            output = batches[0].tgt_output
            assert output is not None
            scores = words.masked_fill(output[..., 0] == PAD, 0.0).sum(1)
        found: list[float] = scores.tolist()
        return found

    def start(self, batches: Sequence[Batch], sources: Sequence[Source], beam: int) -> tuple[Scorer, Tensor]:
        """A scorer with `beam` rows per source, and where attention can go, B S."""
        lengths = batches[0].src_lengths
        encodings = [
            self._encoding(member, batch, sources)
            for member, batch in zip(self._members, batches, strict=True)
        ]
        attended = _attended_positions(encodings[self._looking[0]], lengths)
        for place in self._looking[1:]:
            attended = attended | _attended_positions(encodings[place], lengths)
        if not self._fillers:
            return self._scorer(encodings, beam), attended
        sentences = with_repeated(torch.arange(len(lengths), device=lengths.device), self._fillers)
        scorer = self._scorer([encoding.keep(sentences) for encoding in encodings], beam)
        return BatchInvariantScorer(scorer, beam, self._fillers), attended

    def _encoding(self, member: Member, batch: Batch, sources: Sequence[Source]) -> Encoding:
        if not self._fillers:
            return member.encode(batch)
        padded = member.batch(with_fillers(sources, self._fillers), None)
        indices = torch.arange(len(sources), device=member.device)
        encoding = member.model.encode(padded.src, padded.src_lengths, copies=padded.copies)
        return encoding.keep(indices)

    def _scorer(self, encodings: Sequence[Encoding], beam: int) -> Scorer:
        scorers = [
            ModelScorer(member.stepper, member.model.start(encoding), beam)
            for member, encoding in zip(self._members, encodings, strict=True)
        ]
        scorer: Scorer = scorers[0]
        if len(scorers) > 1:
            scorer = EnsembleScorer(scorers, self._average, self._looking)
        if self._fusion is None:
            return scorer
        return FusedScorer(
            scorer,
            self._fusion.model,
            self._fusion.model.start(len(encodings[0].lengths)),
            weight=self._fusion.weight,
            features=len(self.first.vocabularies.tgt) - 1,
            beam=beam,
        )


def _attended_positions(encoding: Encoding, src_lengths: Tensor) -> Tensor:
    """Positions that attention can reach, B S, in the order of the given source."""
    if encoding.order is None:
        return padding_mask(encoding.lengths, encoding.memory.shape[1])
    return (encoding.order >= 0) & padding_mask(src_lengths, encoding.order.shape[1])


def fitting_members(first: Member, others: Sequence[LoadedModel], allowed: Tensor | None) -> list[Member]:
    """The first model and the others. Raises OptionError for a model that cannot translate together with the
    first one.
    """
    members = [first]
    for loaded in others:
        if not isinstance(loaded.model, Seq2Seq):
            raise OptionError(f"-model {loaded.path}: this is a {loaded.spec.model_type} model")
        member = Member(loaded.model, loaded.vocabularies, allowed)
        problem = _difference(first, member)
        if problem is None and (copies(first.model) or copies(member.model)):
            problem = "a model with -copy_attn writes words that other models do not know"
        if problem is not None:
            raise OptionError(f"-model {loaded.path}: {problem}, so it cannot be part of the ensemble")
        members.append(member)
    return members


def _difference(first: Member, other: Member) -> str | None:
    """Why two models cannot read the same sources, or cannot write one translation."""
    ours, theirs = first.vocabularies, other.vocabularies
    if len(ours.tgt) != len(theirs.tgt):
        return f"its target has {len(theirs.tgt) - 1} features, but the first model's {len(ours.tgt) - 1}"
    for one, two in zip(ours.tgt, theirs.tgt, strict=True):
        if one.words != two.words:
            return "its target vocabulary is not that of the first model"
    shifts = [member.model.spec.policies.features_shifted for member in (first, other)]
    if len(ours.tgt) > 1 and shifts[0] != shifts[1]:
        return "its target features stand at other positions than those of the first model"
    if _kind_of_source(ours) != _kind_of_source(theirs):
        return f"it reads {_kind_of_source(theirs)}, but the first model {_kind_of_source(ours)}"
    return None


def _kind_of_source(vocabularies: Vocabularies) -> str:
    size = vocabularies.src_image_size
    if size is not None:
        return f"images of {size.height} x {size.width} pixels"
    if not vocabularies.src:
        return f"vectors of {vocabularies.src_vector_size} numbers"
    return f"words with {len(vocabularies.src) - 1} features"


_Options = TypeVar("_Options", bound=TranslatorOptions)

SEARCH_FLAGS: Final = ("beam_size", "length_norm", "max_sent_length")


def with_search_of(loaded: LoadedModel, options: _Options, given: Set[str]) -> _Options:
    """The options with what the model's parameters say in place of defaults; `given`: what the user set.

    A model described by OpenNMT's flags changes nothing. Raises OptionError where the file's values are no
    such options, or the result does not fit together.
    """
    if loaded.spec.dialect == "lua":
        return options
    stored = {flag: loaded.options[flag] for flag in SEARCH_FLAGS if flag in loaded.options}
    typed = options_to_dict(options_from_dict(TranslatorOptions, stored))
    changed = replace_options(options, {flag: typed[flag] for flag in stored if flag not in given})
    check_options(changed)
    return changed
