"""onmt/decoding/inputs.py: what sources and references are looked up as."""

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.inputs import batch_of, make_reference, make_source

WORDS = Vocabulary([*SPECIAL_WORDS, "a", "￭｟num｠￭"])
VOCABULARIES = Vocabularies(src=(WORDS,), tgt=(WORDS,))


def test_placeholders_are_looked_up_by_name_and_keep_their_values() -> None:
    source = make_source(["a", "￭｟num：1％00202｠￭"], (WORDS,))
    assert source.words == ("a", "￭｟num｠￭")
    assert source.placeholders == {"｟num｠": "1 2"}


def test_references_too_but_they_are_shown_as_they_were() -> None:
    reference = make_reference(["￭｟num：12｠￭", "a"], (WORDS,))
    assert reference.words == ("￭｟num：12｠￭", "a")
    batch = batch_of([make_source(["a"], (WORDS,))], [reference], VOCABULARIES, shifted=True)
    assert batch.tgt_output is not None
    assert batch.tgt_output[0, :2, 0].tolist() == [5, 4]
