"""The options that a Lua model carries, as plain Python values."""

from dataclasses import dataclass
from typing import Any, Literal

from onmt.models.encoder_spec import Merge
from onmt.torch7.modules import StructureError
from onmt.torch7.objects import Table, Value

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
