"""The forms in which words of sources and references are looked up in vocabularies."""

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.inputs import Reference, Source, batch_of

WORDS = Vocabulary([*SPECIAL_WORDS, "a", "￭｟num｠￭"])
VOCABULARIES = Vocabularies(src=(WORDS,), tgt=(WORDS,))


def test_placeholders_are_looked_up_by_name_and_keep_their_values() -> None:
    source = Source.of(["a", "￭｟num：1％00202｠￭"], (WORDS,))
    assert source.words == ("a", "￭｟num｠￭")
    assert source.placeholders == {"｟num｠": "1 2"}


def test_references_too_but_they_are_shown_as_they_were() -> None:
    reference = Reference.of(["￭｟num：12｠￭", "a"], (WORDS,))
    assert reference.words == ("￭｟num：12｠￭", "a")
    batch = batch_of([Source.of(["a"], (WORDS,))], [reference], VOCABULARIES, shifted=True)
    assert batch.tgt_output is not None
    assert batch.tgt_output[0, :2, 0].tolist() == [5, 4]
