"""Options and vocabularies of a Lua model."""

from dataclasses import dataclass
from typing import Any, Literal

from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError
from onmt.spec.layers import Merge
from onmt.torch7.objects import (
    StructureError,
    Table,
    Tensor,
    TorchObject,
    Value,
    as_instance,
    as_table,
    as_whole,
)

DEPTH = 8
NOTES = frozenset(("_is_default", "_structural", "_init_only", "_train_state"))  # Lua's notes on the options


def text(value: str) -> str:
    """A string of the file; bytes that are no UTF-8 become `\\xNN`, so that everything can be printed."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class LuaOptions:
    """Every option by name, as its Lua value: whole numbers as int, lists as list, other tables as dict."""

    values: dict[str, Any]

    @classmethod
    def read(cls, options: Value) -> "LuaOptions":
        """From the `options` of a model; a model without any has none."""
        if options is None:
            return cls({})
        values = _plain(options, {}, DEPTH)
        if not isinstance(values, dict):
            raise StructureError("its options are no table")
        return cls({key: value for key, value in values.items() if key not in NOTES})

    @property
    def residual(self) -> bool:
        """`-residual`."""
        return self._switch("residual")

    @property
    def brnn_merge(self) -> Merge:
        """`-brnn_merge`."""
        return "concat" if self.values.get("brnn_merge") == "concat" else "sum"

    @property
    def features_shifted(self) -> bool:
        """`-time_shift_feature` of the preprocessing where that was kept, true where nothing was."""
        preprocess = self.values.get("preprocess")
        if isinstance(preprocess, dict) and "time_shift_feature" in preprocess:
            return preprocess["time_shift_feature"] not in (False, 0)
        return self.values.get("time_shift_feature", True) not in (False, 0)

    def fixed(self, side: Literal["enc", "dec"]) -> bool:
        """`-fix_word_vecs_enc` or `-fix_word_vecs_dec`: a number in old models, a boolean or a word later."""
        return self._switch(f"fix_word_vecs_{side}")

    def number(self, name: str, default: float) -> float:
        """An option that is a number; Lua's default where the model does not have it."""
        value = self.values.get(name)
        return default if isinstance(value, bool) or not isinstance(value, int | float) else value

    def word(self, name: str) -> str | None:
        """An option that is a word, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def _switch(self, name: str) -> bool:
        return self.values.get(name, False) not in (False, 0, "", "false")


def _plain(value: Value, known: dict[int, Any], depth: int) -> Any:
    """A value without Lua's tables; what has no plain form becomes None, what is shared stays shared."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if not isinstance(value, Table):
        return value if isinstance(value, bool) else None
    if id(value) in known:
        return known[id(value)]
    if depth == 0:
        raise StructureError(f"its options are nested more than {DEPTH} deep")
    sequence = value.sequence()
    if len(sequence) == len(value):
        content: Any = [_plain(item, known, depth - 1) for item in sequence]
    else:
        pairs = ((key, item) for key, item in value.items() if isinstance(key, str | float))
        content = {_key(key): _plain(item, known, depth - 1) for key, item in pairs}
    known[id(value)] = content
    return content


def _key(key: str | float) -> str:
    return text(key) if isinstance(key, str) else format(key, "g")


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
