"""The Python API, see docs/python.md. Importing this package imports neither torch nor anything else."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from onmt.errors import CheckpointError, DataError, OnmtError, OptionError
    from onmt.serving.api import (
        LineHypothesis,
        LineScorer,
        LineTagger,
        TextTranslator,
        TranslatedLine,
        load_language_model,
        load_tagger,
        load_translator,
    )
    from onmt.text.options import TokenizerOptions

__all__ = [
    "CheckpointError",
    "DataError",
    "LineHypothesis",
    "LineScorer",
    "LineTagger",
    "OnmtError",
    "OptionError",
    "TextTranslator",
    "TokenizerOptions",
    "TranslatedLine",
    "load_language_model",
    "load_tagger",
    "load_translator",
]

_ELSEWHERE: Final = {
    "CheckpointError": "onmt.errors",
    "DataError": "onmt.errors",
    "OnmtError": "onmt.errors",
    "OptionError": "onmt.errors",
    "TokenizerOptions": "onmt.text.options",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is accessed, so that importing the package stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module 'onmt' has no attribute '{name}'")
    return getattr(import_module(_ELSEWHERE.get(name, "onmt.serving.api")), name)
