"""Start and restart the training of a google/seq2seq model."""

from collections.abc import Mapping, Sequence, Set
from itertools import zip_longest
from typing import Any

from onmt.commandline import instances
from onmt.commandline.values import text_of
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.data.vocabulary_building import read_vocabulary
from onmt.decoding.model_search import SEARCH_FLAGS
from onmt.errors import CheckpointError, OptionError
from onmt.google.flags import ANY_LENGTH, LENGTH_FLAGS, checked_model, refuse_flags_of_lua_models
from onmt.google.model import GoogleModel, spec_of
from onmt.google.settings import from_text, restarted_parameters
from onmt.spec.model import ModelSpec
from onmt.training.data import TrainingData, data_sizes
from onmt.training.options import AnyTrainOptions, flags_of_lua_models
from onmt.training.restart import Restart, typed_values


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
    restart: Restart[AnyTrainOptions], path: str, spec: ModelSpec, saved: Mapping[str, Any], given: Set[str]
) -> None:
    """Complete what `restart_options` made of the options for the model `spec` of the file `path`.

    saved: the options of the file; given: the flags that the user set. Raises OptionError for flags that do
    not go with the model, CheckpointError for a file that does not say what its model is.
    """
    options = restart.options
    if spec.dialect == "lua":
        for flag, value in (("model", options.model), ("model_params", options.model_params)):
            if value:
                raise OptionError(f"'{path}' holds no google/seq2seq model: leave -{flag} out")
        return
    refuse_flags_of_lua_models(given, flags_of_lua_models())
    stored = typed_values(type(options), saved)
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
    restart.options = instances.replace(options, {**kept, "model": name, "model_params": parameters.text})


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
