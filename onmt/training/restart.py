"""What of a stored model a new training takes over: options, in either dialect, and vocabularies."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Final, Generic, Literal, TypeVar

import torch
from torch import Tensor

from onmt.commandline.schema import Kind, Option, declared_options
from onmt.commandline.values import replace_options, text_of, value_of
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.data.vocabulary_building import read_vocabulary
from onmt.decoding.ensemble import SEARCH_FLAGS
from onmt.errors import CheckpointError, OptionError
from onmt.google.flags import ANY_LENGTH, LENGTH_FLAGS, checked_model, refuse_flags_of_lua_models
from onmt.google.model import GoogleModel, spec_of
from onmt.google.options import STEPS_BETWEEN_EVALUATIONS
from onmt.google.settings import from_text, restarted_parameters
from onmt.spec.model import EmbeddingSpec, ModelSpec, TableSpec
from onmt.training.data import TrainingData, data_sizes
from onmt.training.options import AnyTrainOptions, SaverOptions, flags_of_lua_models

_Options = TypeVar("_Options", bound=SaverOptions)

_RESTORED_UNLESS_GIVEN: Final = frozenset(
    {
        "seed",
        "scheduled_sampling",
        "scheduled_sampling_scope",
        "scheduled_sampling_decay_type",
        "scheduled_sampling_decay_rate",
    }
)
"""Neither structural nor training state, but part of what the checkpoint's model has been trained with."""


@dataclass
class _Restart(Generic[_Options]):
    """The options to go on with, warnings for the log, and by name what has a new value in the model."""

    options: _Options
    warnings: list[str] = field(default_factory=list)
    applied: dict[str, str] = field(default_factory=dict)


def restart_options(
    options: _Options, given: Set[str], saved: Mapping[str, Any], learning_rate: float, epoch: int
) -> _Restart[_Options]:
    """Bring the options of a restarted run and the `saved` ones of its checkpoint together.

    given: the flags that the user set; saved: values by flag, ours or of a Lua model. learning_rate, epoch:
    where the checkpoint's training stands; a user who asks for another learning rate or epoch does not want
    to continue it.
    """
    declared = {option.flag: option for option in declared_options(type(options))}
    restored = _typed_values(type(options), saved)
    restart = _Restart(options)
    wanted = {flag: value_of(options, declared[flag]) for flag in given if flag in declared}
    continues = options.continue_ and not _cancelled(restart, wanted, restored, learning_rate, epoch)
    values: dict[str, Any] = {"continue": continues}
    for flag, value in restored.items():
        differs = flag in wanted and wanted[flag] != value
        if _is_fixed(declared[flag]):
            values[flag] = value
            if differs:
                restart.warnings.append(f"Cannot change the option -{flag} of the model. Ignoring.")
        elif declared[flag].info.structural == 1:
            if differs:
                restart.applied[flag] = text_of(wanted[flag])
            elif flag not in wanted:
                values[flag] = value
        elif declared[flag].info.train_state:
            if continues:
                values[flag] = value
                if differs:
                    restart.warnings.append(f"Cannot change the option -{flag} with -continue. Ignoring.")
        elif flag in _RESTORED_UNLESS_GIVEN and flag not in wanted:
            values[flag] = value
    if continues and not wanted.keys() & {"train_steps", "end_epoch"}:
        values["train_steps"] = restored.get("train_steps", 0)
    # With -continue `implied_flags` leaves this to the checkpoint; here it may have been cancelled since.
    if not continues and wanted.get("train_steps") and "eval_every_n_steps" not in wanted:
        values["eval_every_n_steps"] = STEPS_BETWEEN_EVALUATIONS
    restart.options = replace_options(options, values)
    return restart


def _typed_values(options: type[SaverOptions], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values, ours or of a Lua model, as the options' types; those that cannot be are left out."""
    declared = {option.flag: option for option in declared_options(options)}
    typed = {flag: _typed(declared[flag], value) for flag, value in saved.items() if flag in declared}
    return {flag: value for flag, value in typed.items() if value is not None}


def _cancelled(
    restart: _Restart[_Options],
    wanted: Mapping[str, Any],
    restored: Mapping[str, Any],
    learning_rate: float,
    epoch: int,
) -> bool:
    """Whether the user sets what only a new training can have."""
    for flag, now in (("learning_rate", learning_rate), ("start_epoch", epoch)):
        if flag in wanted and wanted[flag] not in (now, restored.get(flag)):
            restart.warnings.append(
                f"-{flag} {text_of(wanted[flag])} is not that of the checkpoint: -continue is cancelled."
            )
            return True
    return False


def _is_fixed(option: Option) -> bool:
    return option.info.structural == 0 or option.info.init_only


def _typed(option: Option, value: Any) -> Any:
    """A stored value as the option's type, None if it cannot be one; Lua may have stored 0 for false."""
    if not option.is_list:
        return _typed_element(option.kind, value)
    if not isinstance(value, list | tuple):
        return None
    elements = tuple(_typed_element(option.kind, element) for element in value)
    return None if None in elements else elements


def _typed_element(kind: Kind, value: Any) -> Any:
    if kind in (Kind.BOOLEAN, Kind.BOOLEAN_OR_STRING):
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        return value if kind is Kind.BOOLEAN_OR_STRING and isinstance(value, str) else None
    if isinstance(value, bool):
        return None
    if kind is Kind.STRING:
        return value if isinstance(value, str) else None
    if kind is Kind.NUMBER:
        return float(value) if isinstance(value, int | float) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


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


def google_spec(model: GoogleModel, data: TrainingData) -> ModelSpec:
    """The description of the model for the sizes of the data.

    Raises OptionError where it does not fit the data, or the data's vocabularies are not those it names.
    """
    spec = spec_of(model, data_sizes(data))
    if model.shares_embedding:
        check_shared(data.vocabularies, "embedding.share")
    sides = (("vocab_source", data.vocabularies.src), ("vocab_target", data.vocabularies.tgt))
    for name, vocabularies in sides:
        if model.parameters.get(name):
            _check_words(name, model.parameters[name], vocabularies[0])
    return spec


def restart_google_model(
    restart: _Restart[AnyTrainOptions], path: str, spec: ModelSpec, saved: Mapping[str, Any], given: Set[str]
) -> None:
    """Complete what `restart_options` made of the options for the model `spec` of the file `path`.

    saved: the options of the file; given: the flags that the user set. Raises OptionError for flags that do
    not go with the model, CheckpointError for a file that does not say what its model is.
    """
    options = restart.options
    if spec.dialect == "lua":
        for flag, value in (("model", options.model), ("model_params", options.model_params)):
            if value:
                raise OptionError(f"'{path}' is not a google/seq2seq model: leave -{flag} out")
        return
    refuse_flags_of_lua_models(given, flags_of_lua_models())
    stored = _typed_values(type(options), saved)
    name, text = _stored_description(stored, path)
    parameters = restarted_parameters(name, text, options.model_params, options.continue_)
    checked_model(name, from_text(parameters.text))
    restart.applied.pop("model_params", None)
    restart.applied |= {key: text_of(value) for key, value in parameters.changed.items()}
    if options.output_dir and parameters.ignored:
        raise OptionError(
            f"-output_dir {options.output_dir} holds the training of another model: "
            f"{', '.join(parameters.ignored)} differ; name another folder"
        )
    for key in parameters.ignored:
        of = "with -continue" if key.startswith("optimizer.") and options.continue_ else "of the model"
        restart.warnings.append(f"Cannot change {key} {of}. Ignoring.")
    kept = {flag: value for flag, value in _kept_flags(stored, options).items() if flag not in given}
    restart.options = replace_options(options, {**kept, "model": name, "model_params": parameters.text})


def check_shared(vocabularies: Vocabularies, wanted_by: str) -> None:
    """Raise OptionError unless one table can hold both sides' vectors of words, and of features if there are
    any, as `wanted_by` asks. Both sides have equally many features.
    """
    for source, target in zip(vocabularies.src, vocabularies.tgt, strict=True):
        if source.words != target.words:
            of_source, of_target = _first_difference(source.words, target.words)
            raise OptionError(
                f"{wanted_by} needs one vocabulary for both sides, but where the source's has '{of_source}' "
                f"the target's has '{of_target}': give the same file as -src_vocab and -tgt_vocab"
            )


def _stored_description(stored: Mapping[str, Any], path: str) -> tuple[str, str]:
    """The class and the parameters of a stored model. Raises CheckpointError unless they describe one."""
    name, text = stored.get("model", ""), stored.get("model_params", "")
    try:
        checked_model(name, from_text(text))
    except (ValueError, OptionError) as error:
        raise CheckpointError(
            f"'{path}' is damaged: its options do not describe its model ({error})"
        ) from error
    return name, text


def _kept_flags(stored: Mapping[str, Any], options: AnyTrainOptions) -> dict[str, Any]:
    """The search and text limits of the first run; a run on prepared data cut no texts."""
    kept = {flag: stored[flag] for flag in SEARCH_FLAGS if flag in stored}
    if options.data:
        return kept
    lengths = {} if stored.get("data") else stored
    return kept | {flag: lengths.get(flag, ANY_LENGTH) for flag in LENGTH_FLAGS}


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


def _first_difference(left: Sequence[str], right: Sequence[str]) -> tuple[str, str]:
    """The first words that differ; "nothing" stands where one list has ended."""
    return next(pair for pair in zip_longest(left, right, fillvalue="nothing") if pair[0] != pair[1])
