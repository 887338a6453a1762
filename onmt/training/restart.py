"""What a restart takes over from a stored model: options, in either dialect, and vocabularies.

Without `-continue`, the checkpoint decides what the model is, and the command line everything else. With it,
the checkpoint also decides how training goes on (`train_state` options). These are the rules of OpenNMT Lua's
onmt/train/Saver.lua.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import torch
from torch import Tensor

from onmt.commandline.schema import Kind, Option, declared_options
from onmt.commandline.values import replace_options, text_of, value_of
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.ensemble import SEARCH_FLAGS
from onmt.errors import CheckpointError, OptionError
from onmt.google.flags import ANY_LENGTH, LENGTH_FLAGS, checked_model, refuse_flags_of_lua_models
from onmt.google.options import STEPS_BETWEEN_EVALUATIONS
from onmt.google.settings import from_text, restarted_parameters
from onmt.spec.model import EmbeddingSpec, ModelSpec, TableSpec
from onmt.training.options import AnyTrainOptions, flags_of_lua_models

_RESTORED_UNLESS_GIVEN: Final = frozenset(
    {
        "seed",
        "scheduled_sampling",
        "scheduled_sampling_scope",
        "scheduled_sampling_decay_type",
        "scheduled_sampling_decay_rate",
    }
)
"""Neither structural nor training state, but the checkpoint's model was trained with them."""


@dataclass
class Restart:
    """The options of a restarted run, warnings for the log, and by name the new values in the model."""

    options: AnyTrainOptions
    warnings: list[str] = field(default_factory=list)
    applied: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        options: AnyTrainOptions,
        given: Set[str],
        saved: Mapping[str, Any],
        learning_rate: float,
        epoch: int,
    ) -> "Restart":
        """Combine the options of a restarted run with the `saved` ones of its checkpoint.

        given: the flags that the user set; saved: values by flag, ours or of a Lua model. learning_rate,
        epoch: where the checkpoint's training stands. A user who asks for another learning rate or epoch does
        not want to continue it.
        """
        declared = {option.flag: option for option in declared_options(type(options))}
        wanted = {flag: value_of(options, declared[flag]) for flag in given if flag in declared}
        restored = _typed_values(type(options), saved)
        restart = cls(options)
        continues = options.continue_ and not restart._is_cancelled(wanted, restored, learning_rate, epoch)
        values: dict[str, Any] = {"continue": continues}
        for flag, value in restored.items():
            if restart._takes(declared[flag], value, wanted, continues):
                values[flag] = value
        if continues and not wanted.keys() & {"train_steps", "end_epoch"}:
            values["train_steps"] = restored.get("train_steps", 0)
        # `implied_flags` sets this flag only without -continue, which may have been cancelled since.
        if not continues and wanted.get("train_steps") and "eval_every_n_steps" not in wanted:
            values["eval_every_n_steps"] = STEPS_BETWEEN_EVALUATIONS
        restart.options = replace_options(options, values)
        return restart

    def use_google_model(self, path: str, spec: ModelSpec, saved: Mapping[str, Any], given: Set[str]) -> None:
        """Complete the options for the model `spec` of the file `path`, if google/seq2seq's parameters
        describe it.

        saved: the options of the file; given: the flags that the user set. Raises OptionError for flags that
        do not go with the model, CheckpointError for a file that does not say what its model is.
        """
        options = self.options
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
        self.applied.pop("model_params", None)
        self.applied |= {key: text_of(value) for key, value in parameters.changed.items()}
        if options.output_dir and parameters.ignored:
            raise OptionError(
                f"-output_dir {options.output_dir} holds the training of another model: "
                f"{', '.join(parameters.ignored)} differ; name another folder"
            )
        for key in parameters.ignored:
            of = "with -continue" if key.startswith("optimizer.") and options.continue_ else "of the model"
            self.warnings.append(f"Cannot change {key} {of}. Ignoring.")
        kept = {flag: value for flag, value in _kept_flags(stored, options).items() if flag not in given}
        self.options = replace_options(options, {**kept, "model": name, "model_params": parameters.text})

    def _takes(self, option: Option, value: Any, wanted: Mapping[str, Any], continues: bool) -> bool:
        """Return whether the stored value of an option counts; warn where it does against the user's wish."""
        flag = option.flag
        differs = flag in wanted and wanted[flag] != value
        if _is_fixed(option):
            if differs:
                self.warnings.append(f"Cannot change the option -{flag} of the model. Ignoring.")
            return True
        if option.info.structural == 1:
            if differs:
                self.applied[flag] = text_of(wanted[flag])
            return flag not in wanted
        if option.info.train_state:
            if continues and differs:
                self.warnings.append(f"Cannot change the option -{flag} with -continue. Ignoring.")
            return continues
        return flag in _RESTORED_UNLESS_GIVEN and flag not in wanted

    def _is_cancelled(
        self, wanted: Mapping[str, Any], restored: Mapping[str, Any], learning_rate: float, epoch: int
    ) -> bool:
        """Return whether the user sets an option that only a new training can have; if so, warn."""
        for flag, now in (("learning_rate", learning_rate), ("start_epoch", epoch)):
            if flag in wanted and wanted[flag] not in (now, restored.get(flag)):
                self.warnings.append(
                    f"-{flag} {text_of(wanted[flag])} is not that of the checkpoint: -continue is cancelled."
                )
                return True
        return False


def _typed_values(options: type[AnyTrainOptions], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Convert stored values, ours or of a Lua model, to the options' types; leave out unfit ones."""
    declared = {option.flag: option for option in declared_options(options)}
    typed = {flag: _typed(declared[flag], value) for flag, value in saved.items() if flag in declared}
    return {flag: value for flag, value in typed.items() if value is not None}


def _is_fixed(option: Option) -> bool:
    return option.info.structural == 0 or option.info.init_only


def _typed(option: Option, value: Any) -> Any:
    """Convert a stored value to the option's type, None if it does not fit; 0 is false, as in Lua's files."""
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


def _stored_description(stored: Mapping[str, Any], path: str) -> tuple[str, str]:
    """Return class and parameters of a stored model. Raises CheckpointError unless they describe a model."""
    name, text = stored.get("model", ""), stored.get("model_params", "")
    try:
        checked_model(name, from_text(text))
    except (ValueError, OptionError) as error:
        raise CheckpointError(
            f"'{path}' is damaged: its options do not describe its model ({error})"
        ) from error
    return name, text


def _kept_flags(stored: Mapping[str, Any], options: AnyTrainOptions) -> dict[str, Any]:
    """Return the first run's flags of search and text lengths; a run on prepared data cut no texts."""
    kept = {flag: stored[flag] for flag in SEARCH_FLAGS if flag in stored}
    if options.data:
        return kept
    lengths = {} if stored.get("data") else stored
    return kept | {flag: lengths.get(flag, ANY_LENGTH) for flag in LENGTH_FLAGS}


_TABLES = {"source.words": ("src", 0), "decoder.embeddings.words": ("tgt", 0)}
_NUMBERED = {
    "source.features.": ("src", 1),
    "decoder.embeddings.features.": ("tgt", 1),
    "generator.weights.": ("tgt", 0),
    "generator.biases.": ("tgt", 0),
}


@dataclass(frozen=True)
class VocabularyUpdate:
    """Moves a model from its `old` vocabularies to `new` ones (`-update_vocab`).

    Rows of words in both vocabularies are kept and, unlike in OpenNMT Lua, their generator biases and
    optimiser state. Rows of new words are zero; in the optimiser state they have the initial value.
    """

    old: Vocabularies
    new: Vocabularies

    @classmethod
    def of(
        cls, model: Vocabularies, data: Vocabularies, how: Literal["replace", "merge"]
    ) -> "VocabularyUpdate":
        """Replace the model's vocabularies by the data's; `merge` appends the words only the model knows.

        Raises OptionError if the data has another number of word features.
        """
        if (len(model.src), len(model.tgt)) != (len(data.src), len(data.tgt)):
            raise OptionError("-update_vocab: the data has another number of word features than the model")
        if how == "replace":
            return cls(model, data)
        src = tuple(map(_merged, model.src, data.src))
        return cls(model, replace(data, src=src, tgt=tuple(map(_merged, model.tgt, data.tgt))))

    def spec(self, spec: ModelSpec) -> ModelSpec:
        """Return the spec with the new sizes."""
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
        """Move the rows of weights, or of an optimiser's slot, by parameter name, to the new ids."""
        return {name: self._moved(name, tensor, of_new_words) for name, tensor in tensors.items()}

    def optimizer_state(self, state: Mapping[str, Any], initial: Mapping[str, float]) -> dict[str, Any]:
        """Return the state of an optimiser (see `Optimizer.to_state`) for the new parameters.

        initial: see `Optimizer.initial_values`.
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


def _move_rows(tensor: Tensor, old: Vocabulary, new: Vocabulary, of_new_words: float) -> Tensor:
    """Move rows, V ..., from old ids to new ones; the rows of new words hold `of_new_words`."""
    common = [(index, old.id(word)) for index, word in enumerate(new.words) if word in old]
    to, origin = torch.tensor(common).unbind(1)
    moved = tensor.new_full((len(new), *tensor.shape[1:]), of_new_words)
    moved[to] = tensor[origin]
    return moved


def _merged(model: Vocabulary, data: Vocabulary) -> Vocabulary:
    return Vocabulary([*data.words, *(word for word in model.words if word not in data)])


def _place(name: str) -> tuple[str, int] | None:
    """Return side and index of the vocabulary whose words a parameter has rows for, None if there is none."""
    if name in _TABLES:
        return _TABLES[name]
    for prefix, (side, first) in _NUMBERED.items():
        if name.startswith(prefix):
            return side, first + int(name.removeprefix(prefix))
    return None


def _resized(spec: EmbeddingSpec, vocabularies: tuple[Vocabulary, ...]) -> EmbeddingSpec:
    tables = zip(spec.tables, vocabularies, strict=True)
    return replace(spec, tables=tuple(TableSpec(size=len(words), dim=table.dim) for table, words in tables))
