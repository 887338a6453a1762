"""Keyword arguments of the Python API: flags of translate.py as typed option values. Torch-free.

A test compares the keyword arguments with the declared flags.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypedDict, TypeVar

from onmt.commandline import instances
from onmt.commandline.instances import Given, check_required, validate
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.values import convert, did_you_mean, show
from onmt.errors import OptionError


class TranslatorKeywords(TypedDict, total=False):
    """Flags of translate.py about the search, with the same meaning and the same defaults."""

    lm_model: str
    lm_weight: float
    beam_size: int
    max_sent_length: int
    replace_unk: bool
    replace_unk_tagged: bool
    lexical_constraints: bool
    limit_lexical_constraints: bool
    placeholder_constraints: bool
    phrase_table: str
    n_best: int
    max_num_unks: float
    target_subdict: str
    pre_filter_factor: int
    length_norm: float
    coverage_norm: float
    eos_norm: float
    min_length: int
    block_ngram_repeat: int
    ignore_when_blocking: Sequence[str]
    ban_unk: bool
    random_sampling_topk: int
    random_sampling_temp: float
    top_p: float
    seed: int


Options = TypeVar("Options")


def options_from(options: type[Options], values: Mapping[str, object], where: str = "") -> Options:
    """An instance with these values by flag, checked as a command line is.

    where: put before messages, as in `models.yml, line 3: `. Raises OptionError for flags that do not exist,
    naming the nearest one, for values that do not fit, alone or together, and for required ones missing.
    """
    table = {option.flag: option for option in declared_options(options)}
    given: dict[str, Given] = {}
    try:
        for flag, value in values.items():
            if flag not in table:
                raise OptionError(f"unknown option '{flag}'{did_you_mean(flag, table, '')}")
            given[flag] = Given(_converted(table[flag], value))
        check_required(given, list(table.values()))
        for flag, entry in given.items():
            validate(table[flag], entry)
        made = instances.replace(options(), {flag: entry.value for flag, entry in given.items()})
        instances.check(made)
    except OptionError as error:
        raise OptionError(f"{where}{error}") from None
    return made


def _converted(option: Option, value: object) -> Any:
    if option.is_list:
        elements = value if isinstance(value, list | tuple) else (value,)
        return convert(option, [_word(option, element) for element in elements])
    return convert(option, [_word(option, value)])


def _word(option: Option, value: object) -> str:
    """The value as a command line would have it."""
    if isinstance(value, str | PurePath):
        return str(value)
    if isinstance(value, bool | int | float):
        return show(value)
    kind = "empty" if value is None else f"a {type(value).__name__}"
    raise OptionError(f"invalid argument for option {option.shown}: it must not be {kind}")
