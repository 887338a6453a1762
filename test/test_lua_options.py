"""Our options agree with those of the original, which `lua_options.tsv` lists row by row.

`lua_options_pending.txt` names the rows that are not implemented yet; the tests fail if it names too many or
too few. After implementing options, rewrite it: `PYTHONPATH=. python test/test_lua_options.py`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from onmt.commandline.declare import BuiltInOptions
from onmt.commandline.document import commands
from onmt.commandline.schema import Kind, declared_options
from onmt.commandline.values import check_options, replace_options
from onmt.errors import OptionError

HERE = Path(__file__).parent
OTHER_MEANING = {"train -model"}  # meaningless in the original, names a google/seq2seq class here
PENDING_FILE = HERE / "lua_options_pending.txt"
SELECTORS = ("data_type", "model_type")

KINDS = {
    "bool": Kind.BOOLEAN,
    "string": Kind.STRING,
    "enum": Kind.STRING,
    "enum(bool+string)": Kind.BOOLEAN_OR_STRING,
    "int": Kind.INTEGER,
    "float": Kind.NUMBER,
}

DIFFERENT_DEFAULTS = {
    "tools/average_models -output_model": "model files end in .pt here",
}
REQUIRED_HERE = {
    "tools/average_models -models": "the original declares it optional and fails without",
    "tools/extract_embeddings -model": "the original declares it optional and fails without",
    "tools/rest_translation_server -model": "the original declares it optional and fails without",
    "tools/translation_server -model": "the original declares it optional and fails without",
    "translate -model": "the original declares it optional and fails without",
}
DIFFERENT_TYPES = {
    "tools/learn_bpe -size": "a number that the original declared as a string",
    "tools/rest_translation_server -model": "several models are an ensemble here",
    "tools/translation_server -model": "several models are an ensemble here",
    "translate -model": "several models are an ensemble here",
}


@dataclass(frozen=True)
class Row:
    """One option of one script of the original."""

    script: str
    option: str
    type: str
    default: str
    accepted: str
    required: str
    structural: str
    init_only: str
    train_state: str
    deprecated: str
    range: str
    applies_when: str

    @property
    def name(self):
        return f"{self.script} {self.option}"

    @property
    def flag(self):
        return self.option.strip("-<>")

    @property
    def is_list(self):
        return self.type.startswith("table<")

    @property
    def kind(self):
        if self.default == "inf":  # no integer is infinite here
            return Kind.NUMBER
        return KINDS[self.type.removeprefix("table<").removesuffix(">")]

    @property
    def converted_default(self):
        if self.is_list:
            elements = [] if self.default == "{}" else self.default.split(",")
            return tuple(int(element) if self.kind is Kind.INTEGER else element for element in elements)
        if self.kind is Kind.BOOLEAN or self.kind is Kind.BOOLEAN_OR_STRING:
            return self.default == "true"
        if self.kind is Kind.STRING:
            return "" if self.default == "''" else self.default
        return float(self.default) if self.kind is Kind.NUMBER else int(self.default)


def read_rows():
    lines = (HERE / "lua_options.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [Row(*line.split("\t")) for line in lines[1:]]


ROWS = read_rows()
COMMANDS = commands()
PENDING = set(PENDING_FILE.read_text(encoding="utf-8").splitlines()) if PENDING_FILE.exists() else set()


def script_of(name):
    """The script of the command of that name, or None if there is no such command yet."""
    command = COMMANDS.get(name.removeprefix("tools/"))
    return command.script if command else None


def option_sets(row):
    """The options classes that should declare a row: for the selector values that it names, else for all."""
    script = script_of(row.script)
    if script is None:
        return []
    named = {flag: words.split("|") for flag, words in re.findall(r"(\w+)=([\w|]+)", row.applies_when)}
    known = {option.flag: option.accepted for option in declared_options(script.choose({}))}
    return [
        script.choose({selector: value})
        for selector in SELECTORS
        if selector in known
        for value in named.get(selector, known[selector])
    ] or [script.choose({})]


def find(row):
    """The row's option in every options class that should declare it; None where it is missing."""
    found = []
    for options in option_sets(row):
        declared = (*declared_options(options), *declared_options(BuiltInOptions))
        found.append(next((option for option in declared if option.flag == row.flag), None))
    return found


def is_built(row):
    found = find(row)
    return bool(found) and None not in found


def missing_names():
    return list(dict.fromkeys(row.name for row in ROWS if not is_built(row)))


BUILT = [pytest.param(row, id=f"{row.name}-{row.type}") for row in ROWS if row.name not in PENDING]


def test_the_list_of_what_is_missing_is_right():
    missing = set(missing_names())
    assert not PENDING - missing, "built, but still listed in lua_options_pending.txt"
    assert not missing - PENDING, "missing, but not listed in lua_options_pending.txt"


@pytest.mark.parametrize("row", BUILT)
def test_a_row(row):
    for option in find(row):
        if row.name not in DIFFERENT_TYPES:
            assert (option.kind, option.is_list) == (row.kind, row.is_list)
            assert option.default == row.converted_default or row.name in DIFFERENT_DEFAULTS
        if row.accepted:
            assert set(row.accepted.split(",")) <= set(option.accepted)
        info = option.info
        assert info.required == (row.required == "y") or row.name in REQUIRED_HERE
        assert info.positional == row.option.startswith("<")
        # A deprecated option has no value here that a restart could restore.
        if not row.deprecated and row.name not in OTHER_MEANING:
            assert info.structural == (int(row.structural) if row.structural else None)
        assert info.init_only == (row.init_only == "y")
        assert info.train_state == (row.train_state == "y")
        new, _, value = row.deprecated.partition("=")
        assert (info.deprecated or ("", "")) == (new, True if value == "true" else value)


@pytest.mark.parametrize("row", [param for param in BUILT if param.values[0].range])
def test_a_range(row):
    """A value outside the original's bounds is refused; inside them, our bounds may be narrower."""
    minimum = re.search(r">=([\d.]+)", row.range)
    maximum = re.search(r"<=([\d.]+)", row.range)
    outside = [float(minimum[1]) - 1] if minimum else []
    outside += [float(maximum[1]) + 1] if maximum else []
    for options, option in zip(option_sets(row), find(row), strict=True):
        for number in outside:
            value = number if option.kind is Kind.NUMBER else int(number)
            value = (value,) if option.is_list else value
            assert is_refused(options, option, value), f"{row.name} {value}"


def is_refused(options, option, value):
    if option.info.valid is not None and option.info.valid(value) is not None:
        return True
    try:
        check_options(options())
    except OptionError:
        return False  # the defaults alone are refused, so a refusal would not be due to the value
    with pytest.raises(OptionError):
        check_options(replace_options(options(), {option.flag: value}))
    return True


if __name__ == "__main__":
    PENDING_FILE.write_text("".join(f"{name}\n" for name in missing_names()), encoding="utf-8")
