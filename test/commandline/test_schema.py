from dataclasses import dataclass

import pytest

from onmt.commandline.declare import group, option
from onmt.commandline.schema import Kind, declared_options, heading_of


def test_options_in_the_order_of_the_bases(script):
    declared = declared_options(script.choose({}))
    headings = list(dict.fromkeys(option.heading for option in declared))
    assert headings == ["Pairs", "Tokenizer", "Data", "Model", "Logger"]
    by_flag = {option.flag: option for option in declared}
    assert by_flag["tok_src_mode"].path == ("tok_src", "mode")
    assert by_flag["tok_src_mode"].default == "space"
    assert by_flag["continue"].path == ("continue_",)
    assert by_flag["fix"].kind is Kind.BOOLEAN_OR_STRING
    assert (by_flag["sizes"].kind, by_flag["sizes"].is_list) == (Kind.INTEGER, True)


def test_heading_without_a_docstring():
    @dataclass(frozen=True, kw_only=True)
    class CudaOptions:
        gpuid: int = option(0, "Which.")

    assert heading_of(CudaOptions) == "Cuda"


@dataclass(frozen=True, kw_only=True)
class Inner:
    a_b: int = option(0, "One.")


@dataclass(frozen=True, kw_only=True)
class Twice:
    inner: Inner = group(Inner, prefix="a_")
    a_a_b: int = option(0, "Other.")


@dataclass(frozen=True, kw_only=True)
class Optional:
    name: str | None = option(None, "Perhaps.")


@dataclass(frozen=True, kw_only=True)
class Pair:
    two: tuple[int, int] = option((1, 2), "Two.")


@dataclass(frozen=True, kw_only=True)
class Plain:
    number: int = 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Twice, "Twice declares more than once: a_a_b"),
        (Optional, "Optional.name: no option can have the type"),
        (Pair, "Pair.two: a list option is annotated"),
        (Plain, r"Plain.number is neither an option\(\) nor a group\(\)"),
    ],
)
def test_declarations_that_mean_nothing(options, message):
    with pytest.raises(TypeError, match=message):
        declared_options(options)
