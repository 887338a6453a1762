"""Where a training of a google/seq2seq model begins: its description, its restart."""

from collections.abc import Mapping, Sequence, Set
from itertools import zip_longest
from typing import Any

from onmt.commandline import instances
from onmt.data.vocabulary import Vocabulary
from onmt.data.word_lists import read_word_list
from onmt.decoding.model_search import SEARCH_FLAGS
from onmt.errors import OptionError
from onmt.models.google import spec_of
from onmt.models.google_settings import from_text, restarted_parameters, stored_google_model
from onmt.models.spec import ModelSpec
from onmt.training.data import TrainingData, data_sizes
from onmt.training.google_flags import ANY_LENGTH, LENGTH_FLAGS, checked_model, refuse_describing_flags
from onmt.training.options import AnyTrainOptions


def new_google_spec(options: AnyTrainOptions, data: TrainingData) -> ModelSpec | None:
    """The description of the model that `-model` names; None: the flags describe it.

    Raises OptionError where it does not fit the data, or the data's vocabularies are not those it names.
    """
    model = stored_google_model(options.model, options.model_params)
    if model is None:
        return None
    spec = spec_of(model, data_sizes(data))
    if model.parameters.get("embedding.share", False):
        _check_shared(data.vocabularies.src[0], data.vocabularies.tgt[0])
    sides = (("vocab_source", data.vocabularies.src), ("vocab_target", data.vocabularies.tgt))
    for name, vocabularies in sides:
        if model.parameters.get(name):
            _compare(name, model.parameters[name], vocabularies[0])
    return spec


def restarted_google_options(
    options: AnyTrainOptions, path: str, spec: ModelSpec, saved: Mapping[str, Any], given: Set[str]
) -> tuple[AnyTrainOptions, tuple[str, ...]]:
    """The options to go on with from a stored model, and warnings for the log.

    options: as `restart_options` made them; saved: those in the file `path` of the model `spec`; given: the
    flags that the user set. Raises OptionError for flags that do not go with the model.
    """
    if spec.policies.schedule != "step":
        if options.model:
            raise OptionError(f"'{path}' holds no google/seq2seq model: leave -model out")
        return options, ()
    refuse_describing_flags(tuple(given))
    parameters, ignored = restarted_parameters(saved["model_params"], options.model_params)
    checked_model(options.model, from_text(parameters))
    warnings = [f"Cannot change {', '.join(ignored)} of the model. Ignoring."] if ignored else []
    kept = {flag: saved[flag] for flag in SEARCH_FLAGS}
    if not options.data:
        kept |= {flag: ANY_LENGTH if saved["data"] else saved[flag] for flag in LENGTH_FLAGS}
    not_given = {flag: value for flag, value in kept.items() if flag not in given}
    return instances.replace(options, {**not_given, "model_params": parameters}), tuple(warnings)


def _compare(name: str, path: str, vocabulary: Vocabulary) -> None:
    """Raise OptionError if the file of a parameter does not hold the data's words."""
    words = read_word_list(path).words
    if words == vocabulary.words:
        return
    of_data, of_file = _first_difference(vocabulary.words, words)
    side = "src" if name == "vocab_source" else "tgt"
    raise OptionError(
        f"{name} {path} is not the vocabulary of the data (where the data has '{of_data}', the file has "
        f"'{of_file}'): prepare the data with -{side}_vocab {path}"
    )


def _check_shared(source: Vocabulary, target: Vocabulary) -> None:
    """Raise OptionError unless one table can hold the vectors of both sides."""
    if source.words != target.words:
        of_source, of_target = _first_difference(source.words, target.words)
        raise OptionError(
            f"embedding.share needs one vocabulary for both sides, but where the source's has '{of_source}' "
            f"the target's has '{of_target}': give the same file as -src_vocab and -tgt_vocab"
        )


def _first_difference(left: Sequence[str], right: Sequence[str]) -> tuple[str, str]:
    """The first words that differ; "nothing" stands where one list has ended."""
    return next(pair for pair in zip_longest(left, right, fillvalue="nothing") if pair[0] != pair[1])
