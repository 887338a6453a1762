"""Options of the servers and of the Python API, from command lines, keyword arguments and model lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any, Final, TypedDict, TypeVar

import yaml

from onmt.commandline.declare import at_least, existing_file, not_empty, option
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.values import (
    Given,
    check_options,
    check_required,
    convert,
    did_you_mean,
    replace_options,
    show,
    validate,
)
from onmt.decoding.options import EnsembleOptions, TranslationModelOptions, TranslatorOptions
from onmt.errors import DataError, OptionError
from onmt.hooks import HookOptions
from onmt.logger import LoggerOptions
from onmt.runtime.options import DeviceOptions
from onmt.text.options import TokenizerOptions

_PACKAGES: Final = ("prometheus_client", "starlette", "uvicorn", "zmq")


def require_serve() -> None:
    """Raise OptionError, with the command that installs them, if packages of the servers are missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise OptionError(
            f"the servers need {', '.join(missing)}: pip install -c constraints.txt -e '.[serve]'"
        )


def _port(value: Any) -> str | None:
    """Return why a value, given as text or number, cannot be a port; None if it can."""
    text = str(value)
    valid = text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535
    return None if valid else "the port must be a number from 0 to 65535; 0 takes a free one"


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """Limits"""

    max_request_size: int = option(1 << 20, "Maximum size of a request, in bytes.", valid=at_least(1))
    max_sentences: int = option(1000, "Maximum number of sentences in a request.", valid=at_least(1))
    max_src_tokens: int = option(
        1000,
        "Maximum length of a source sentence, in tokens; requests with longer ones are refused.",
        valid=at_least(1),
    )
    max_waiting: int = option(
        2000,
        "Maximum number of sentences that wait or are being translated, of all models together; further "
        "requests are refused.",
        valid=at_least(1),
    )
    request_timeout: float = option(
        60.0, "Timeout of receiving a request, and of answering it, in seconds each.", valid=at_least(0.001)
    )
    batch_wait: float = option(
        0.005, "Time for which a sentence waits for others to share its batch, in seconds.", valid=at_least(0)
    )


@dataclass(frozen=True, kw_only=True)
class RestOptions:
    """REST server"""

    host: str = option("127.0.0.1", "Address to listen on; `0.0.0.0`: all addresses.", valid=not_empty)
    port: str = option("7784", "Port to listen on; 0: a free one, which is logged.", valid=_port)
    with_attention: bool = option(False, "Return attention with every translation.", flag="withAttn")
    batch_size: int = option(64, "Maximum number of sentences in a batch.", valid=at_least(1))


def _refuse_useless(options: TranslatorOptions) -> None:
    """Raise OptionError for options whose results a server's answers cannot hold."""
    for flag, value in (
        ("dump_input_encoding", options.dump_input_encoding),
        ("save_beam_to", options.save_beam_to),
    ):
        if value:
            raise OptionError(f"-{flag} is for translate.py: a server's answers have no place for it")


@dataclass(frozen=True, kw_only=True)
class RestTranslationServerOptions(
    RestOptions,
    TranslationModelOptions,
    TranslatorOptions,
    TokenizerOptions,
    LimitOptions,
    DeviceOptions,
    HookOptions,
    LoggerOptions,
):
    """REST translation server"""

    def check(self) -> None:
        """Raise OptionError for options that have no effect in a server."""
        _refuse_useless(self)


@dataclass(frozen=True, kw_only=True)
class MultiModelOptions:
    """REST server"""

    host: str = option("127.0.0.1", "Address to listen on; `0.0.0.0`: all addresses.", valid=not_empty)
    port: int = option(7784, "Port to listen on; 0: a free one, which is logged.", valid=_port)
    with_attention: bool = option(
        False, "Return attention with every translation of every model.", flag="withAttn"
    )
    unload_time: int = option(
        7, "Unload a model after this many seconds without a request.", valid=at_least(0)
    )
    model_config: str = option(
        "test/data/rest_config.yml",
        "YAML file of the models: a list of mappings from option names to values, see docs/serving.md.",
        valid=existing_file,
    )


@dataclass(frozen=True, kw_only=True)
class RestMultiModelsOptions(MultiModelOptions, LimitOptions, DeviceOptions, HookOptions, LoggerOptions):
    """REST server of several models"""


@dataclass(frozen=True, kw_only=True)
class EntryOptions(EnsembleOptions):
    """Model"""

    model: tuple[str, ...] = option(
        (), "Model to translate with, or a list of the models of an ensemble.", required=True
    )
    with_attention: bool = option(False, "Return attention with every translation.", flag="withAttn")
    batch_size: int = option(1000, "Maximum number of sentences in a batch.", valid=at_least(1))


@dataclass(frozen=True, kw_only=True)
class ModelEntryOptions(EntryOptions, TranslatorOptions, TokenizerOptions):
    """An entry of the file of models"""

    def check(self) -> None:
        """Raise OptionError for options that have no effect in a server."""
        _refuse_useless(self)


@dataclass(frozen=True, kw_only=True)
class ZeroMqOptions:
    """ZeroMQ server"""

    host: str = option("127.0.0.1", "Address to listen on; `0.0.0.0`: all addresses.", valid=not_empty)
    port: str = option("5556", "Port to listen on; 0: a free one, which is logged.", valid=_port)
    batch_size: int = option(64, "Maximum number of sentences in a batch.", valid=at_least(1))


@dataclass(frozen=True, kw_only=True)
class TranslationServerOptions(
    ZeroMqOptions, TranslationModelOptions, TranslatorOptions, LimitOptions, DeviceOptions, LoggerOptions
):
    """Translation server"""

    def check(self) -> None:
        """Raise OptionError for options that have no effect in a server."""
        _refuse_useless(self)


def read_model_config(path: str) -> list[tuple[ModelEntryOptions, frozenset[str]]]:
    """Read a YAML file with a list of models; return each model's options and the keys that its entry sets.

    Raises DataError, or OptionError for bad keys and values, naming file and line.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        content = yaml.safe_load(text)
        lines = _entry_lines(text)
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}; name a file with -model_config") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not valid UTF-8 at byte offset {error.start}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}{_place(error)}: not valid YAML") from error
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: expected a list of models, each a mapping that begins with '-'")
    return [
        _entry(entry, f"{path}, line {line}, model {number}: ")
        for number, (entry, line) in enumerate(zip(content, lines, strict=True), start=1)
    ]


def _entry(entry: Any, where: str) -> tuple[ModelEntryOptions, frozenset[str]]:
    if not isinstance(entry, dict):
        raise DataError(f"{where}expected a mapping from names of options to values")
    for key in entry:
        if not isinstance(key, str):
            raise OptionError(f"{where}unknown option '{key}'")
    return options_from(ModelEntryOptions, entry, where), frozenset(entry)


def _entry_lines(text: str) -> list[int]:
    """The line numbers, from 1, at which the entries of the list begin."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return [entry.start_mark.line + 1 for entry in node.value] if isinstance(node, yaml.SequenceNode) else []


def _place(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f", line {mark.line + 1}"


class TranslatorKeywords(TypedDict, total=False):
    """The search flags of translate.py, with the same meanings and defaults (a test compares the two)."""

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
    """Create an options instance from values by flag, with the checks of a command line.

    where: prefix of error messages, as in `models.yml, line 3: `. Raises OptionError for an unknown flag
    (naming the nearest known one), for values that are invalid alone or together, and for missing required
    flags.
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
        made = replace_options(options(), {flag: entry.value for flag, entry in given.items()})
        check_options(made)
    except OptionError as error:
        raise OptionError(f"{where}{error}") from None
    return made


def _converted(option: Option, value: object) -> Any:
    if option.is_list:
        elements = value if isinstance(value, list | tuple) else (value,)
        return convert(option, [_word(option, element) for element in elements])
    return convert(option, [_word(option, value)])


def _word(option: Option, value: object) -> str:
    """Return the value as a word of a command line. Raises OptionError for a value of another type."""
    if isinstance(value, str | PurePath):
        return str(value)
    if isinstance(value, bool | int | float):
        return show(value)
    kind = "empty" if value is None else f"a {type(value).__name__}"
    raise OptionError(f"invalid argument for option {option.shown}: it must not be {kind}")
