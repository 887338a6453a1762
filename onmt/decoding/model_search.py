"""google/seq2seq's models carry how to search with them: beam, length penalty, longest translation."""

from collections.abc import Set
from typing import Final, TypeVar

from onmt.commandline import instances
from onmt.decoding.options import TranslatorOptions
from onmt.models.loading import LoadedModel

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
    typed = instances.to_dict(instances.from_dict(TranslatorOptions, stored))
    changed = instances.replace(options, {flag: typed[flag] for flag in stored if flag not in given})
    instances.check(changed)
    return changed
