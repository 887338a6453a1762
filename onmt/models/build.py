"""The only builder: from a ModelSpec to a model."""

from onmt.models.base import Model
from onmt.models.language_model import LanguageModel
from onmt.models.seq2seq import Seq2Seq
from onmt.models.tagger import Tagger
from onmt.spec.model import ModelSpec

MODELS: dict[str, type[Model]] = {"seq2seq": Seq2Seq, "lm": LanguageModel, "seqtagger": Tagger}


def build_model(spec: ModelSpec) -> Model:
    """A model with uninitialised parameters: load them, or call `initialise`."""
    return MODELS[spec.model_type](spec)
