"""The flat list of the options that a dataclass declares, each with flag, type, default and heading."""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from onmt.commandline.declare import GROUP_KEY, OPTION_KEY, REMOVED_KEY, GroupInfo, OptionInfo


class Kind(Enum):
    """The type of one value."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    BOOLEAN_OR_STRING = "boolean or string"


_SHOWN_KINDS = {
    Kind.STRING: "<string>",
    Kind.INTEGER: "<number>",
    Kind.NUMBER: "<number>",
    Kind.BOOLEAN: "[<boolean>]",
    Kind.BOOLEAN_OR_STRING: "[<boolean>/<string>]",
}


@dataclass(frozen=True)
class Option:
    """An option with its name and type on the command line.

    path: the names of the groups that it is nested in, then its field's name.
    accepted: the words of a `Literal`; empty if every value of the kind is accepted.
    """

    flag: str
    path: tuple[str, ...]
    heading: str
    kind: Kind
    is_list: bool
    accepted: tuple[str, ...]
    default: Any
    prefix: str
    info: OptionInfo

    @property
    def takes_bare(self) -> bool:
        """Whether the flag may be given without a value."""
        return self.kind in (Kind.BOOLEAN, Kind.BOOLEAN_OR_STRING) and not self.is_list

    @property
    def is_text(self) -> bool:
        """Whether any text is a valid value, or a valid element of a list."""
        return self.kind is Kind.STRING and not self.accepted

    @property
    def shown(self) -> str:
        """The option's name in messages."""
        return f"<{self.flag}>" if self.info.positional else f"-{self.flag}"

    @property
    def shown_kind(self) -> str:
        """The type as the help shows it."""
        return "<table>" if self.is_list else _SHOWN_KINDS[self.kind]


def declared_options(options: type) -> tuple[Option, ...]:
    """Return all options of a dataclass: its own first, then those of its bases in order.

    Raises TypeError for a flag that is declared more than once and for a field that is no valid option.
    """
    declared = tuple(_walk(options, path=(), prefix="", default_of=None))
    flags = [option.flag for option in declared]
    repeated = sorted({flag for flag in flags if flags.count(flag) > 1})
    if repeated:
        raise TypeError(f"{options.__name__} declares more than once: {', '.join(repeated)}")
    return declared


def flags_of(*options: type[Any]) -> frozenset[str]:
    """Return the flags of these classes of options."""
    return frozenset(option.flag for one in options for option in declared_options(one))


def heading_of(options: type) -> str:
    """Return the heading of a class's own options: its docstring's first line, without "options" at the end.

    Without a docstring, the heading is the name of the class without "Options".
    """
    doc = (options.__doc__ or "").strip()
    if not doc or doc.startswith(
        f"{options.__name__}("
    ):  # dataclass() sets a signature as the docstring of a class without one
        return options.__name__.removesuffix("Options")
    first_line = doc.splitlines()[0].rstrip(".")
    return re.sub(r" options$", "", first_line, flags=re.IGNORECASE)


def _walk(options: type, path: tuple[str, ...], prefix: str, default_of: Any) -> Iterator[Option]:
    """Yield the options of a class; `default_of` is the instance that holds a nested group's defaults."""
    fields = {field.name: field for field in dataclasses.fields(options)}
    hints = get_type_hints(options)
    for owner, name in _owners(options, fields):
        field = fields[name]
        if GROUP_KEY in field.metadata:
            nested: GroupInfo = field.metadata[GROUP_KEY]
            holder = _nested_default(field) if default_of is None else getattr(default_of, name)
            yield from _walk(nested.options, (*path, name), prefix + nested.prefix, holder)
        elif OPTION_KEY in field.metadata:
            default = field.default if default_of is None else getattr(default_of, name)
            yield _option(owner, name, hints[name], default, path, prefix, field.metadata[OPTION_KEY])
        elif REMOVED_KEY not in field.metadata:
            raise TypeError(f"{options.__name__}.{name} is neither an option() nor a group()")


def _owners(options: type, fields: dict[str, Any]) -> Iterator[tuple[type, str]]:
    """Yield each field's name and the class that declares it: the class itself first, then its bases."""
    seen: set[str] = set()
    for owner in options.__mro__:
        for name in inspect.get_annotations(owner):
            if name in fields and name not in seen:
                seen.add(name)
                yield owner, name


def _nested_default(field: Any) -> Any:
    return field.default_factory()


def _option(
    owner: type,
    name: str,
    annotation: Any,
    default: Any,
    path: tuple[str, ...],
    prefix: str,
    info: OptionInfo,
) -> Option:
    where = f"{owner.__name__}.{name}"
    is_list = get_origin(annotation) is tuple
    if is_list:
        inner = get_args(annotation)
        if len(inner) != 2 or inner[1] is not Ellipsis:
            raise TypeError(f"{where}: a list option is annotated tuple[type, ...]")
        annotation = inner[0]
    kind, accepted = _kind_and_accepted(where, annotation)
    return Option(
        flag=prefix + (info.flag or name),
        path=(*path, name),
        heading=heading_of(owner),
        kind=kind,
        is_list=is_list,
        accepted=accepted,
        default=default,
        prefix=prefix,
        info=info,
    )


_KINDS = {str: Kind.STRING, int: Kind.INTEGER, float: Kind.NUMBER, bool: Kind.BOOLEAN}


def _kind_and_accepted(where: str, annotation: Any) -> tuple[Kind, tuple[str, ...]]:
    if annotation in _KINDS:
        return _KINDS[annotation], ()
    origin = get_origin(annotation)
    if origin is Literal and all(isinstance(word, str) for word in get_args(annotation)):
        return Kind.STRING, get_args(annotation)
    if origin in (Union, types.UnionType):
        parts = get_args(annotation)
        words = [part for part in parts if get_origin(part) is Literal]
        if len(parts) == 2 and bool in parts and len(words) == 1:
            return Kind.BOOLEAN_OR_STRING, ("true", "false", *get_args(words[0]))
    raise TypeError(f"{where}: no option can have the type {annotation}")
