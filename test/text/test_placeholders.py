"""Placeholders and their escapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.text.characters import separators
from onmt.text.lines import (
    PLACEHOLDER,
    escape,
    has_placeholder,
    unescape,
    unescape_placeholders,
    values_of,
    with_values,
    without_values,
)


@given(st.text(st.characters(exclude_characters="％\n", exclude_categories=["Cs"])))
def test_unprotect_undoes_protect(text: str) -> None:
    protected = escape(text)
    assert not set(protected) & set(separators())
    assert unescape(protected) == text


def test_what_is_no_code_stays() -> None:
    assert unescape("％00e9％00E9％xyz％12％d800％000a％") == "éé％xyz％12％d800％000a％"


@pytest.mark.parametrize(
    ("token", "name", "values"),
    [
        ("｟num：1％00202｠", "｟num｠", {"｟num｠": "1％00202"}),
        ("｟date：a：b｠", "｟date｠", {"｟date｠": "a：b"}),
        ("￭｟num：12｠￭", "￭｟num｠￭", {"｟num｠": "12"}),
        ("｟num：5｠kg", "｟num｠kg", {"｟num｠": "5"}),
        ("a｟b：1｠c｟d：｠", "a｟b｠c｟d｠", {"｟b｠": "1", "｟d｠": ""}),
        ("｟num｠", "｟num｠", {}),
        ("word：x", "word：x", {}),
        ("｟open：x", "｟open：x", {}),
        ("x：y｠", "x：y｠", {}),
    ],
)
def test_the_name_stays_and_the_value_goes(token: str, name: str, values: dict[str, str]) -> None:
    assert without_values(token) == name
    assert dict(values_of(token)) == values
    assert with_values(name, values) == PLACEHOLDER.sub(
        lambda match: values.get(without_values(match[0]), match[0]), token
    )


AROUND = st.text(st.characters(blacklist_characters="｟｠：％", blacklist_categories=["Cs"]), max_size=4)
NAME = st.text("abc-1", max_size=3)


@given(st.lists(st.tuples(AROUND, NAME, AROUND), max_size=3), AROUND)
def test_every_value_comes_back_where_its_name_stands(parts: list[tuple[str, str, str]], last: str) -> None:
    token = "".join(f"{before}｟{name}：{value}｠" for before, name, value in parts) + last
    names = "".join(f"{before}｟{name}｠" for before, name, _ in parts) + last
    assert without_values(token) == names
    values = {f"｟{name}｠": value for _, name, value in parts}
    assert dict(values_of(token)) == values
    assert (
        with_values(names, values)
        == "".join(f"{before}{values[f'｟{name}｠']}" for before, name, _ in parts) + last
    )


def test_values_come_back_between_joiners() -> None:
    values = {"｟num｠": "4711", "｟url｠": "a b", "｟name｠": "Ann Lee"}
    words = ["￭｟num｠￭", "｟num｠kg", "x", "｟url｠￭", "｟other｠", "｟name｠"]
    restored = [with_values(word, values) for word in words]
    assert restored == ["￭4711￭", "4711kg", "x", "a b￭", "｟other｠", "Ann Lee"]


def test_a_placeholder_is_one_wherever_it_stands() -> None:
    assert has_placeholder("｟a｠")
    assert has_placeholder("a｟b｠")
    assert not has_placeholder("a b｠")


def test_unprotecting_text_leaves_the_rest_alone() -> None:
    assert unescape_placeholders("％0020｟a：％0020｠％0020｟b％0020") == "％0020｟a： ｠％0020｟b "
