"""The models that translate together, one or several, and the search options stored with a model."""

from collections.abc import Sequence, Set
from typing import Final, TypeVar

import torch
from torch import Tensor

from onmt.commandline.values import check_options, options_from_dict, options_to_dict, replace_options
from onmt.constants import PAD
from onmt.data.dataset import Batch
from onmt.data.vocabulary import Vocabularies
from onmt.decoding.inputs import Reference, Source, batch_of
from onmt.decoding.lexicon import with_copies
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.scoring import (
    Average,
    EnsembleScorer,
    Fillers,
    FusedScorer,
    ModelScorer,
    RestrictedModel,
    Scorer,
)
from onmt.errors import OptionError
from onmt.models.loading import LoadedModel
from onmt.models.networks import LanguageModel, Seq2Seq
from onmt.modules.encoding import Encoding, padding_mask
from onmt.spec.inception import grid_at
from onmt.spec.layers import InceptionEncoderSpec, PyramidalEncoderSpec


class Member:
    """A translation model with its own source vocabulary."""

    def __init__(self, model: Seq2Seq, vocabularies: Vocabularies, allowed: Tensor | None) -> None:
        """allowed: ids of the target words that may be used, None: all."""
        self._allowed = allowed
        self.model = model
        self.vocabularies = vocabularies
        self.device = next(model.parameters()).device
        self.stepper = model if allowed is None else RestrictedModel(model, allowed)

    def partner(self, loaded: LoadedModel) -> "Member":
        """Another member for an ensemble with this one.

        Raises OptionError for a model that cannot translate together with this one.
        """
        if not isinstance(loaded.model, Seq2Seq):
            raise OptionError(f"-model {loaded.path}: this is a {loaded.spec.model_type} model")
        member = Member(loaded.model, loaded.vocabularies, self._allowed)
        problem = _difference(self, member)
        if problem is None and (self.copies or member.copies):
            problem = "a model with -copy_attn writes words that other models do not know"
        if problem is not None:
            raise OptionError(f"-model {loaded.path}: {problem}, so it cannot be part of the ensemble")
        return member

    @property
    def copies(self) -> bool:
        """The model copies source words."""
        assert self.model.spec.decoder is not None
        return self.model.spec.decoder.copies

    @property
    def attends(self) -> bool:
        """The model has attention."""
        assert self.model.spec.decoder is not None
        return self.model.spec.decoder.attention.attends

    @property
    def image_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the grid that attention to an image is over; None: sources are no images."""
        size, encoder = self.vocabularies.src_image_size, self.model.spec.encoder
        if size is None or not isinstance(encoder, InceptionEncoderSpec):
            return None
        return grid_at(encoder.endpoint, size.height, size.width)

    @property
    def resolution(self) -> float:
        """Positions of attention per source position, or per image."""
        grid, encoder = self.image_grid, self.model.spec.encoder
        if grid is not None:
            return grid[0] * grid[1]
        if isinstance(encoder, PyramidalEncoderSpec):
            return 1 / encoder.reduction ** (encoder.stack.layers - 1)
        return 1

    def batch(self, sources: Sequence[Source], gold: Sequence[Reference] | None) -> Batch:
        """A batch of the sources, none of them empty, and references in this model's ids."""
        shifted = self.model.spec.policies.features_shifted
        batch = batch_of(sources, gold, self.vocabularies, shifted)
        if self.copies:
            batch = with_copies(batch, sources, gold, self.vocabularies.tgt[0])
        return batch.to(self.device)

    def encode(self, batch: Batch) -> Encoding:
        """Encode the sources of a batch."""
        return self.model.encode(batch.src, batch.src_lengths, batch.lengths_on_host, batch.copies)


class Ensemble:
    """Models with one target vocabulary, whose predictions are averaged at every step."""

    def __init__(
        self,
        members: Sequence[Member],
        average: Average,
        language_model: LanguageModel | None,
        lm_weight: float,
        batch_invariant: bool,
    ) -> None:
        """language_model: its log-probabilities, times `lm_weight`, are added at every step."""
        self._members = members
        self._average = average
        self._language_model = language_model
        self._lm_weight = lm_weight
        models: list[Seq2Seq | LanguageModel] = [member.model for member in members]
        if language_model is not None:
            models.append(language_model)
        self._fillers = Fillers.of(models) if batch_invariant else None
        attending = [place for place, member in enumerate(members) if member.attends]
        finest = max((members[place].resolution for place in attending), default=0)
        self._attention_sources = [place for place in attending if members[place].resolution == finest] or [0]
        """Indices of the models whose attention is averaged: those of the finest resolution."""

    @property
    def first(self) -> Member:
        """The model that determines how to search."""
        return self._members[0]

    @property
    def attends(self) -> bool:
        """Translations come with attention."""
        return self._members[self._attention_sources[0]].attends

    @property
    def image_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the grid that attention to an image is over."""
        return self._members[self._attention_sources[0]].image_grid

    def batches(self, sources: Sequence[Source], gold: Sequence[Reference] | None) -> list[Batch]:
        """A batch for each model of the sources, none of them empty, and references."""
        return [member.batch(sources, gold) for member in self._members]

    def gold_scores(self, batches: Sequence[Batch]) -> list[float]:
        """Log-probability of each reference's words and `</s>`."""
        pairs = list(zip(self._members, batches, strict=True))
        if len(pairs) == 1:
            scores = self.first.model.score(batches[0])
        else:
            of_models = [member.model.word_scores(batch) for member, batch in pairs]
            words = EnsembleScorer.averaged(of_models, self._average)
            output = batches[0].tgt_output
            assert output is not None
            scores = words.masked_fill(output[..., 0] == PAD, 0.0).sum(1)
        found: list[float] = scores.tolist()
        return found

    def start(self, batches: Sequence[Batch], sources: Sequence[Source], beam: int) -> tuple[Scorer, Tensor]:
        """Return a scorer with `beam` rows per source and the positions that attention can reach, B S."""
        lengths = batches[0].src_lengths
        encodings = [
            self._encoding(member, batch, sources)
            for member, batch in zip(self._members, batches, strict=True)
        ]
        attended = _attended_positions(encodings[self._attention_sources[0]], lengths)
        for place in self._attention_sources[1:]:
            attended = attended | _attended_positions(encodings[place], lengths)
        if self._fillers is None:
            return self._scorer(encodings, beam), attended
        sentences = self._fillers.repeat_last(torch.arange(len(lengths), device=lengths.device))
        scorer = self._scorer([encoding.keep(sentences) for encoding in encodings], beam)
        return self._fillers.wrap(scorer, beam), attended

    def _encoding(self, member: Member, batch: Batch, sources: Sequence[Source]) -> Encoding:
        if self._fillers is None:
            return member.encode(batch)
        padded = member.batch(self._fillers.append_to(sources), None)
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
            scorer = EnsembleScorer(scorers, self._average, self._attention_sources)
        if self._language_model is None:
            return scorer
        return FusedScorer(
            scorer,
            self._language_model,
            self._language_model.start(len(encodings[0].lengths)),
            weight=self._lm_weight,
            features=len(self.first.vocabularies.tgt) - 1,
            beam=beam,
        )


def _attended_positions(encoding: Encoding, src_lengths: Tensor) -> Tensor:
    """Positions that attention can reach, B S, in the order of the given source."""
    if encoding.order is None:
        return padding_mask(encoding.lengths, encoding.memory.shape[1])
    return (encoding.order >= 0) & padding_mask(src_lengths, encoding.order.shape[1])


def _difference(first: Member, other: Member) -> str | None:
    """The reason why two models cannot read the same sources or write one translation, None if they can."""
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
    """Replace default options by those stored with the model; given: the flags that the user set.

    A model described by OpenNMT's flags changes nothing. Raises OptionError where the stored values are
    invalid, or do not go with the other options.
    """
    if loaded.spec.dialect == "lua":
        return options
    stored = {flag: loaded.options[flag] for flag in SEARCH_FLAGS if flag in loaded.options}
    typed = options_to_dict(options_from_dict(TranslatorOptions, stored))
    changed = replace_options(options, {flag: typed[flag] for flag in stored if flag not in given})
    check_options(changed)
    return changed
