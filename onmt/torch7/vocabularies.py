"""The dictionaries of a Lua model as vocabularies: ids from 0 instead of 1."""

from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError
from onmt.torch7.modules import StructureError, as_instance, as_table, as_whole
from onmt.torch7.objects import Table, Tensor, TorchObject, Value
from onmt.torch7.options import text


def read_vocabularies(dicts: Table) -> Vocabularies:
    """The `dicts` of a model: `src` and `tgt` with words and features each, `srcInputSize` for vectors."""
    size = dicts.get("srcInputSize")
    return Vocabularies(
        src=_read_side(dicts.get("src"), "source"),
        tgt=_read_side(dicts.get("tgt"), "target"),
        src_vector_size=0 if size is None else as_whole(size, "the width of the source vectors"),
    )


def _read_side(side: Value, name: str) -> tuple[Vocabulary, ...]:
    if side is None:
        return ()
    table = as_table(side, f"the {name} dictionaries")
    words = as_instance(table.get("words"), f"the {name} dictionary", "Dict")
    features = table.get("features")
    others = [] if features is None else as_table(features, f"the {name} feature dictionaries").sequence()
    dicts = [words, *(as_instance(other, f"a {name} feature dictionary", "Dict") for other in others)]
    return tuple(_read_dict(one, name) for one in dicts)


def _read_dict(dictionary: TorchObject, side: str) -> Vocabulary:
    labels = as_table(dictionary.get("idxToLabel"), f"the list of labels of a {side} dictionary")
    words = labels.sequence()
    if len(words) != len(labels):
        raise StructureError(f"a {side} dictionary with gaps: {len(labels)} labels, {len(words)} in sequence")
    strings = [text(word) for word in words if isinstance(word, str)]
    if len(strings) != len(words):
        raise StructureError(f"a {side} dictionary with labels that are no strings")
    try:
        return Vocabulary(strings, _read_frequencies(dictionary, len(strings)))
    except DataError as error:
        reason = str(error).replace("\n", "\\n")  # it quotes words, which a damaged file chooses
        raise StructureError(f"a {side} dictionary that cannot be used: {reason}") from error


def _read_frequencies(dictionary: TorchObject, size: int) -> list[int] | None:
    """The counts kept with `-keep_frequency`, as a tensor or a table; None unless there is one per label."""
    tensor, table = dictionary.get("freqTensor"), dictionary.get("frequencies")
    if isinstance(tensor, Tensor) and tensor.shape == (size,):
        values = tensor.numpy().tolist()
    elif isinstance(table, Table):
        values = [value for value in table.sequence() if isinstance(value, float)]
    else:
        return None
    usable = len(values) == size and all(0 <= value < 2**53 for value in values)
    return [int(value) for value in values] if usable else None
