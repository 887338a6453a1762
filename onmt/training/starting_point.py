"""Where a training starts: a new model, or the model and state of `-train_from`."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Final

import torch
from torch import Tensor, nn

from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.data.vocabulary_building import read_vocabulary
from onmt.errors import CheckpointError, OptionError
from onmt.google.model import GoogleModel, spec_of
from onmt.logger import Logger
from onmt.models.base import Model
from onmt.models.loading import (
    fill,
    find_newest,
    load_image_weights,
    read_content,
    read_word_vectors,
    restore_model,
    with_pretrained_columns,
)
from onmt.models.lua import (
    restructured,
    spec_from_options,
    structure_notes,
    with_copying,
    with_coverage,
    with_frozen_vectors,
    with_shared_tables,
)
from onmt.models.networks import build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.embeddings import Embeddings
from onmt.modules.generator import Transitions
from onmt.runtime.random import torch_generator
from onmt.spec.model import EmbeddingSpec, ModelSpec
from onmt.training.checkpoints import TrainingState
from onmt.training.data import TrainingData
from onmt.training.optim import LearningRate
from onmt.training.options import AnyTrainOptions
from onmt.training.recipe import Recipe
from onmt.training.restart import Restart, VocabularyUpdate
from onmt.training.trainer_options import CoverageOptions, SharedTableOptions

_TRANSITIONS: Final = "transitions."


@dataclass(frozen=True)
class StartingPoint:
    """The model that training starts from, its vocabularies, how to train it, and the position in the run."""

    model: Model
    vocabularies: Vocabularies
    recipe: Recipe
    state: TrainingState

    @classmethod
    def new(cls, recipe: Recipe, data: TrainingData, state: TrainingState, logger: Logger) -> "StartingPoint":
        """Make a model with random parameters, and word vectors where files give them.

        Raises OptionError where options and data do not fit, DataError for word vectors that do not.
        """
        options = recipe.options
        for note in structure_notes(options):
            logger.warning(note)
        spec, vectors = _describe(recipe, data)
        logger.info("Building model...")
        for line in spec.log_lines():
            logger.info(line)
        model = build_model(spec)
        model.use_vocabularies(data.vocabularies)
        logger.info("Initializing parameters...")
        model.initialise(options.param_init, torch_generator(options.seed, "initial parameters"))
        if options.image_weights:
            load_image_weights(model, options.image_weights)
        for name, values in vectors.items():
            table = model.get_submodule(name)
            assert isinstance(table, Embeddings)
            fill(table, values)
        logger.info(f" * number of parameters: {_count_parameters(model)}")
        return cls(model, data.vocabularies, recipe, state)


@dataclass(frozen=True)
class StoredRun:
    """The content of a model's file, and how training goes on from it.

    options: those of the command line and of the file together; applied: the new values that they set in the
    model, by name; state: with `-continue` that of the file's training.
    """

    path: str
    data_type: str
    spec: ModelSpec
    weights: Mapping[str, Tensor]
    vocabularies: Vocabularies
    state: TrainingState
    options: AnyTrainOptions
    applied: Mapping[str, str]

    @classmethod
    def read(cls, options: AnyTrainOptions, given: Set[str], logger: Logger) -> "StoredRun":
        """Read the file of `-train_from`, and choose the options to go on with.

        Raises CheckpointError; OptionError if it is another kind of model than the options say.
        """
        path = find_newest(options.train_from)
        logger.info(f"Loading checkpoint '{path}'...")
        content = read_content(path)
        for note in content.get("notes", ()):
            logger.warning(note)
        spec = ModelSpec.from_state(content["spec"])
        if spec.model_type != options.model_type:
            raise OptionError(f"'{path}' is a {spec.model_type} model: add -model_type {spec.model_type}")
        state = _stored_state(path, content, options.continue_)
        restart = Restart.of(options, given, content["options"], state.rate.value, state.epoch)
        restart.use_google_model(path, spec, content["options"], given)
        if options.output_dir and options.model and options.model != restart.options.model:
            raise OptionError(
                f"-output_dir {options.output_dir} holds the training of another model, of class "
                f"{restart.options.model or 'OpenNMT Lua'}: name another folder"
            )
        options = restart.options
        options.check_steps_of_samples()
        for warning in restart.warnings:
            logger.warning(warning)
        return cls(
            path=path,
            data_type=content["data_type"],
            spec=spec,
            weights=content["weights"],
            vocabularies=Vocabularies.from_state(content["vocabularies"]),
            state=state if options.continue_ else TrainingState.new(options),
            options=options,
            applied=restart.applied,
        )

    @property
    def known_vocabularies(self) -> Vocabularies | None:
        """The vocabularies that text must be encoded with; None if they are to be changed."""
        return self.vocabularies if self.options.update_vocab == "none" else None

    def starting_point(self, recipe: Recipe, data: TrainingData, logger: Logger) -> StartingPoint:
        """Restore the model, and with `-continue` its training. Raises CheckpointError, OptionError."""
        if self.data_type != data.data_type:
            raise OptionError(
                f"'{self.path}' was trained on {self.data_type} data, this is {data.data_type} data"
            )
        options, state = self.options, self.state
        spec, weights, vocabularies = self.spec, self.weights, self.vocabularies
        if options.update_vocab != "none":
            update = VocabularyUpdate.of(vocabularies, data.vocabularies, options.update_vocab)
            spec, weights, vocabularies = update.spec(spec), update.tensors(weights), update.new
            if spec.decoder is not None and spec.decoder.shares_source_embedding:
                flag = "embedding.share" if spec.dialect == "google" else "-share_embeddings"
                _check_shared(vocabularies, flag)
            if state.optimizer is not None:
                state.optimizer = update.optimizer_state(state.optimizer, recipe.initial_slots)
            if state.trained_weights is not None:
                state.trained_weights = update.tensors(state.trained_weights)
            logger.info(f"Updating the vocabularies ({options.update_vocab})...")
        _check_vocabularies(self.path, vocabularies, data.vocabularies, logger)
        if self.applied:
            logger.info("Applying new parameters:")
            for name, value in self.applied.items():
                logger.info(f" * {name} = {value}")
        _check_losses(recipe, spec)
        model = _restructured_model(spec, weights, options, self.path)
        model.use_vocabularies(vocabularies)
        if options.continue_:
            logger.info(f"Resuming training from epoch {state.epoch} at iteration {state.iteration}...")
        return StartingPoint(model, vocabularies, recipe, state)


def _describe(recipe: Recipe, data: TrainingData) -> tuple[ModelSpec, dict[str, Tensor]]:
    """Return the spec of a new model, and the word vectors that files give, by the name of their table."""
    options = recipe.options
    if recipe.google is not None:
        described = _google_spec(recipe.google, data)
    else:
        described = spec_from_options(options, data.sizes)
    spec, vectors = _with_word_vectors(described, options)
    if isinstance(options, SharedTableOptions):
        spec = with_shared_tables(spec, options.share_embeddings, options.share_decoder_embeddings)
        if options.share_embeddings:
            _check_shared(data.vocabularies, "-share_embeddings")
        shares = spec.decoder is not None and spec.decoder.shares_source_embedding
        if shares and options.pre_word_vecs_enc != options.pre_word_vecs_dec:
            raise OptionError(
                "the model has one table of word vectors for both sides: -pre_word_vecs_enc and "
                "-pre_word_vecs_dec must name the same file"
            )
    if isinstance(options, CoverageOptions):
        spec = with_coverage(spec) if options.coverage_attn else spec
        spec = with_copying(spec) if options.copy_attn else spec
    _check_losses(recipe, spec)
    return spec, vectors


def _google_spec(model: GoogleModel, data: TrainingData) -> ModelSpec:
    """Return the spec of the model for the sizes of the data.

    Raises OptionError if the model does not fit the data, or names other vocabularies than the data's.
    """
    spec = spec_of(model, data.sizes)
    if model.shares_embedding:
        _check_shared(data.vocabularies, "embedding.share")
    sides = (("vocab_source", data.vocabularies.src), ("vocab_target", data.vocabularies.tgt))
    for name, vocabularies in sides:
        if model.parameters.get(name):
            _check_words(name, model.parameters[name], vocabularies[0])
    return spec


def _check_words(name: str, path: str, vocabulary: Vocabulary) -> None:
    """Raise OptionError if the file of a parameter does not hold the data's words."""
    words = read_vocabulary(path).words
    if words == vocabulary.words:
        return
    of_data, of_file = _first_difference(vocabulary.words, words)
    side = "src" if name == "vocab_source" else "tgt"
    raise OptionError(
        f"{name} {path} is not the vocabulary of the data (where the data has '{of_data}', the file has "
        f"'{of_file}'): prepare the data with -{side}_vocab {path}"
    )


def _check_shared(vocabularies: Vocabularies, wanted_by: str) -> None:
    """Raise OptionError unless both sides have the same words and features, as one table for both requires.

    wanted_by: the option that asks for it. Both sides have the same number of features.
    """
    for source, target in zip(vocabularies.src, vocabularies.tgt, strict=True):
        if source.words != target.words:
            of_source, of_target = _first_difference(source.words, target.words)
            raise OptionError(
                f"{wanted_by} needs one vocabulary for both sides, but where the source's has '{of_source}' "
                f"the target's has '{of_target}': give the same file as -src_vocab and -tgt_vocab"
            )


def _first_difference(left: Sequence[str], right: Sequence[str]) -> tuple[str, str]:
    """Return the first words that differ; "nothing" if one list has ended."""
    return next(pair for pair in zip_longest(left, right, fillvalue="nothing") if pair[0] != pair[1])


def _check_losses(recipe: Recipe, spec: ModelSpec) -> None:
    """Raise OptionError for a loss or a training option that the model does not support."""
    options, sampling = recipe.options, recipe.sampling
    if recipe.coverage_weight and not (spec.decoder and spec.decoder.attention.coverage):
        raise OptionError("-lambda_coverage needs a model that was created with -coverage_attn")
    if spec.decoder is None or not spec.decoder.copies:
        return
    unfit = {
        "label_smoothing": options.label_smoothing > 0,
        "sample_vocab": options.sample_vocab,
        "scheduled_sampling": sampling.initial != 1 or sampling.rate != 0,
    }
    for flag, given in unfit.items():
        if given:
            raise OptionError(f"-{flag} cannot be used with a model that copies (-copy_attn): leave it out")
    options.check_copying()  # otherwise the first validation would fail


def _count_parameters(model: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _check_vocabularies(path: str, model: Vocabularies, data: Vocabularies, logger: Logger) -> None:
    """Raise CheckpointError if the data has ids beyond the model's; warn if ids mean other words."""
    if model.src_vector_size != data.src_vector_size:
        raise CheckpointError(
            f"the data has source vectors of {data.src_vector_size} numbers, '{path}' of "
            f"{model.src_vector_size}"
        )
    if model.src_image_size != data.src_image_size:
        raise CheckpointError(
            f"the data has images of {data.src_image_size} pixels, '{path}' reads {model.src_image_size}"
        )
    for side, ours, theirs in (("source", model.src, data.src), ("target", model.tgt, data.tgt)):
        if len(ours) != len(theirs):
            raise CheckpointError(
                f"the data has {len(theirs) - 1} {side} features, '{path}' was trained with {len(ours) - 1}"
            )
        for own, other in zip(ours, theirs, strict=True):
            if len(own) < len(other):
                raise CheckpointError(
                    f"the data has a {side} vocabulary of {len(other)} words, '{path}' one of {len(own)}: "
                    "prepare the data with the model's vocabularies, or use -update_vocab"
                )
            if own.words[: len(other)] != other.words:
                logger.warning(
                    f"the {side} vocabulary of the data is not that of '{path}': its ids now mean other "
                    "words; use -update_vocab to keep their meaning"
                )


def _stored_state(path: str, content: Mapping[str, Any], needed: bool) -> TrainingState:
    if content.get("training") is not None:
        return TrainingState.from_dict(content["training"])
    if needed:
        raise CheckpointError(
            f"'{path}' is a released model, without the training state that -continue needs; leave "
            "-continue out"
        )
    return TrainingState(rate=LearningRate(1.0))


def _restructured_model(
    spec: ModelSpec, weights: Mapping[str, Tensor], options: AnyTrainOptions, path: str
) -> Model:
    """Restore the stored model with the changes that the options make; draw new transitions between tags."""
    if options.model:  # google/seq2seq's: only frozen vectors may change
        return restore_model(with_frozen_vectors(spec, options), weights, path)
    wanted = restructured(spec, options)
    kept = {
        name: weight
        for name, weight in weights.items()
        if wanted.transitions or not name.startswith(_TRANSITIONS)
    }
    if wanted.transitions and len(wanted.outputs) > 1:
        raise OptionError("-loglikelihood sentence does not support target features, which this model has")
    if wanted.transitions and not spec.transitions:
        kept |= _new_transitions(wanted.outputs[0], options)
    return restore_model(wanted, kept, path)


def _new_transitions(tags: int, options: AnyTrainOptions) -> dict[str, Tensor]:
    """Return weights of transitions between this many tags, initialised like those of a new model."""
    transitions = Transitions(tags)
    generator = torch_generator(options.seed, "initial transitions")
    with torch.no_grad():
        for parameter in transitions.parameters():
            parameter.uniform_(-options.param_init, options.param_init, generator=generator)
    transitions.normalise()
    return {_TRANSITIONS + name: parameter.detach() for name, parameter in transitions.named_parameters()}


def _with_word_vectors(spec: ModelSpec, options: AnyTrainOptions) -> tuple[ModelSpec, dict[str, Tensor]]:
    """Return the spec with the columns that come from files, and the vectors by the name of their table."""
    vectors = {}
    source, decoder = spec.source, spec.decoder
    if options.pre_word_vecs_enc:
        if not isinstance(source, EmbeddingSpec):
            raise OptionError("-pre_word_vecs_enc needs words, but the source is vectors")
        words = source.tables[0]
        vectors["source"] = read_word_vectors(options.pre_word_vecs_enc, words.size, words.dim)
        source = with_pretrained_columns(source, vectors["source"])
    if decoder is not None and isinstance(options, Seq2SeqModelOptions) and options.pre_word_vecs_dec:
        words = decoder.embedding.tables[0]
        values = read_word_vectors(options.pre_word_vecs_dec, words.size, words.dim)
        vectors["decoder.embeddings"] = values
        decoder = replace(decoder, embedding=with_pretrained_columns(decoder.embedding, values))
    return with_frozen_vectors(replace(spec, source=source, decoder=decoder), options), vectors
