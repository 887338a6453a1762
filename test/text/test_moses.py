"""Mode moses: sacremoses, with placeholders and markers protected."""

from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Detokenizer, Tokenizer
from onmt.text.words import Moses

ENGLISH = Moses("en")


def test_words_and_punctuation() -> None:
    assert ENGLISH.tokenize("Mr. Smith isn't here, is he?") == [
        *["Mr.", "Smith", "isn", "'t", "here", ",", "is", "he", "?"]
    ]
    assert ENGLISH.detokenize(["He", "isn", "'t", "here", "."]) == "He isn't here."
    assert Moses("fr").tokenize("l'homme d'ici") == ["l'", "homme", "d'", "ici"]


def test_placeholders_and_markers() -> None:
    assert ENGLISH.tokenize("a￭b￨c (｟x：1, 2｠)") == ["a", "■", "b", "│", "c", "(", "｟x：1,％00202｠", ")"]
    assert ENGLISH.detokenize(["(", "｟x：1,％00202｠", ")"]) == "(｟x：1, 2｠)"


def test_as_a_mode_of_the_tokenizer(golden: object) -> None:
    options = TokenizerOptions(mode="moses", joiner_annotate=True, case_feature=True, segment_case=True)
    tokens = Tokenizer.of(options).tokenize("McDonald's isn't WiFi.")
    assert tokens[:2] == ["mc￭￨C", "donald￨C"]
    assert Detokenizer.of(options).detokenize(tokens) == "McDonald's isn't WiFi."
    assert Detokenizer.of(options).detokenize([]) == ""


@settings(max_examples=30)
@given(st.text(max_size=30))
def test_any_text(text: str) -> None:
    words = ENGLISH.tokenize(text)
    assert all(word and " " not in word and "\n" not in word for word in words)
    assert "\n" not in ENGLISH.detokenize(words)
