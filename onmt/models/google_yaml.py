"""YAML as google/seq2seq's users write it: names and values, read strictly. No torch here."""

import math
import re
from typing import Any, Final

from onmt.errors import OptionError

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_DEEPEST: Final = 50  # levels; no configuration needs them, and Python's stack ends at some hundreds
_LONGEST_TEXT: Final = 4096  # characters: a path's most; messages tell names and values in full
_LARGEST_WHOLE: Final = 2**63 - 1

_YAML_FAILURES: Final = (ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError)
"""What PyYAML raises, besides its own errors, for scalars that do not fit their tag (`!!int ''`)."""


def read_yaml(text: str, where: str) -> Any:
    """The value of a YAML text: dicts with texts as names, lists, texts, finite numbers, booleans, None.

    A number may be written `1e-4`, which YAML 1.1 calls a text. Raises OptionError, in one line that begins
    with `where`, for everything else: malformed text, names given twice, aliases, dates.
    """
    import yaml  # here, because only a few runs need it

    try:
        return _plain(yaml.load(text, Loader=_loader()), where, 0)
    except yaml.YAMLError as error:
        raise OptionError(f"{where}: {_in_one_line(error)}") from None
    except _YAML_FAILURES as error:
        raise OptionError(f"{where}: a value cannot be read: {' '.join(str(error).split())}") from None


def read_yaml_file(path: str, flag: str) -> Any:
    """The value in a YAML file that `flag` names. Raises OptionError for a file that cannot be read, bytes
    that are not UTF-8, and as `read_yaml` does.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OptionError(f"cannot read -{flag} {path}: {reason}") from error
    try:
        text = content.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise OptionError(f"{path}, line {line}, byte offset {error.start}: not valid UTF-8") from error
    return read_yaml(text, path)


def _loader() -> Any:
    """PyYAML's safe loader with our strictness."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                event = self.peek_event()
                raise yaml.composer.ComposerError(
                    None, None, "aliases (*name) are not read here: write the value out", event.start_mark
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"'{key.value}' is given twice", key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    exponent = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+\Z")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    return Loader


def _plain(value: Any, where: str, depth: int) -> Any:
    """The value, if it consists of what parameters are made of; messages begin with `where`."""
    if isinstance(value, dict):
        _check_depth(where, depth)
        return {
            _checked_name(name, where): _plain(part, f"{where}: {name}", depth + 1)
            for name, part in value.items()
        }
    if isinstance(value, list):
        _check_depth(where, depth)
        return [_plain(part, where, depth + 1) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(f"{where}: {value} is not a finite number")
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        raise OptionError(f"{where}: a number of {value.bit_length()} bits is too large")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise OptionError(f"{where}: a text of {len(value)} characters is too long")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise OptionError(f"{where}: {value!r} is neither a number nor a text")


def _check_depth(where: str, depth: int) -> None:
    if depth > _DEEPEST:
        first = where.partition(": ")[0]
        raise OptionError(f"{first}: more than {_DEEPEST} levels of names and values")


def _checked_name(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise OptionError(f"{where}: a name must be a text, not {str(name)[:80]}")
    if len(name) > _LONGEST_TEXT:
        raise OptionError(f"{where}: a name of {len(name)} characters is too long")
    return name


def _in_one_line(error: Any) -> str:
    """`line 3, column 7: what is wrong` of an error of PyYAML."""
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    mark = getattr(error, "problem_mark", None)
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
