"""Placeholders and their escapes."""

from hypothesis import given
from hypothesis import strategies as st

from onmt.text.characters import separators
from onmt.text.placeholders import is_placeholder, name_and_value, protect, unprotect


@given(st.text(st.characters(exclude_characters="％\n", exclude_categories=["Cs"])))
def test_unprotect_undoes_protect(text: str) -> None:
    protected = protect(text)
    assert not set(protected) & set(separators())
    assert unprotect(protected) == text


def test_what_is_no_code_stays() -> None:
    assert unprotect("％00e9％00E9％xyz％12％d800％000a％") == "éé％xyz％12％d800％000a％"


def test_lookup_form_and_value() -> None:
    assert name_and_value("｟num：1％00202｠") == ("｟num｠", "1 2")
    assert name_and_value("｟date：a：b｠") == ("｟date｠", "a：b")
    assert name_and_value("｟num｠") == ("｟num｠", "｟num｠")
    assert name_and_value("word：x") == ("word：x", "word：x")
    assert name_and_value("｟open：x") == ("｟open：x", "｟open：x")


def test_is_placeholder() -> None:
    assert is_placeholder("｟a｠")
    assert not is_placeholder("a｟b｠")
