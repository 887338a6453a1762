"""Small configurations of every kind of model and training step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from onmt.constants import BOS, EOS, SPECIAL_WORDS
from onmt.data.dataset import Batch, make_batch
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes, spec_from_options, with_copying, with_coverage
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions
from onmt.spec.model import ModelSpec

WORDS = 60
LABELS = 9
SIZES = DataSizes(src=(WORDS,), tgt=(WORDS,))
IMAGE = (23, 31)
VOCABULARIES = Vocabularies(
    src=(Vocabulary([*SPECIAL_WORDS, *map(str, range(WORDS - 4))]),),
    tgt=(Vocabulary([*SPECIAL_WORDS, *map(str, range(20, WORDS + 16))]),),
)
"""Vocabularies for models that copy; about a third of each side's words are missing on the other."""

TENSORFLOW_OPTIMISERS: dict[str, dict[str, Any]] = {
    "Momentum": {"momentum": 0.9, "use_nesterov": True},
    "Adagrad": {"initial_accumulator_value": 0.1},
    "RMSProp": {"centered": True, "decay": 0.9, "momentum": 0.9, "epsilon": 1e-10},
    "Ftrl": {
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0,
    },
}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A model, its batch and its training settings; `steps`: number of source and target positions."""

    name: str
    spec: ModelSpec
    even: bool = False
    steps: int = 4
    target: str = "sequence"  # or "tags", "none"
    labels: tuple[int, ...] = ()
    image: bool = False
    optimiser: str = "sgd"
    gold_probability: float = 1.0
    restricted: bool = False
    products: torch.dtype | None = None
    coverage_weight: float = 0.0
    batch_size: int = field(default=4)

    def batch(self) -> Batch:
        """Return a batch of random sentences, the same on every call."""
        rng = np.random.default_rng(3)
        size, most = self.batch_size, self.steps
        lengths = (
            np.full(size, most) if self.even else np.array([most, most, most - 1, max(2, most // 2)])[:size]
        )
        if self.image:
            source = rng.integers(0, 256, (size, 3, *IMAGE)).astype(np.uint8)
            lengths = np.ones(size, dtype=np.int64)
        else:
            source = self._ids(rng, lengths, marked=self.target == "none")
        if self.target == "none":
            return make_batch(source, lengths, None, None, np.arange(size))
        tgt_lengths = lengths + 2 if self.target == "tags" else np.full(size, most + 1)
        if not self.even and self.target == "sequence":
            tgt_lengths = np.array([most + 1, most, 3, most + 1])[:size]
        return make_batch(
            source, lengths, self._ids(rng, tgt_lengths, marked=True), tgt_lengths, np.arange(size)
        )

    def _ids(self, rng: np.random.Generator, lengths: Any, *, marked: bool) -> Any:
        widths = (WORDS, *self.labels)
        ids = np.stack([rng.integers(4, width, (self.batch_size, lengths.max())) for width in widths], axis=2)
        for row, length in enumerate(lengths):
            if marked:
                ids[row, 0], ids[row, length - 1] = BOS, EOS
            ids[row, length:] = 0
        return ids.astype(np.int64)


def lua(
    name: str, *, sizes: DataSizes = SIZES, flags: dict[str, Any] | None = None, **how: Any
) -> Configuration:
    """Configure a sequence-to-sequence model by OpenNMT's flags; the default is a dbrnn of two layers."""
    flags = {
        "encoder_type": "dbrnn",
        "brnn_merge": "concat",
        "layers": 2,
        "rnn_size": 8,
        "cnn_size": 8,
        "word_vec_size": 8,
        **(flags or {}),
    }
    flags.setdefault("bridge", "dense" if flags["encoder_type"] == "cnn" else "copy")
    return Configuration(name=name, spec=spec_from_options(Seq2SeqModelOptions(**flags), sizes), **how)


REFERENCE = {"even": True, "steps": 25}


def training_configurations() -> Iterator[Configuration]:
    """Yield all configurations; names are unique."""
    yield lua("reference, even", **REFERENCE)
    yield lua("reference, uneven", steps=25)
    yield lua("dbrnn, even", even=True)
    yield lua("dbrnn, uneven")
    yield lua("dbrnn, without dropout", flags={"dropout": 0.0}, even=True)
    yield lua("dbrnn, without input feed", flags={"input_feed": False}, even=True)
    yield from _optimisers()
    yield from _encoders()
    yield from _decoders()
    yield from _extras()
    yield from _taggers_and_language_models()
    yield from _google()


def _optimisers() -> Iterator[Configuration]:
    for name in ("adagrad", "adadelta", "adam", *TENSORFLOW_OPTIMISERS):
        yield lua(f"optimiser {name}", optimiser=name, even=True)


def _encoders() -> Iterator[Configuration]:
    for encoder in ("rnn", "brnn", "pdbrnn", "gnmt", "cnn"):
        for even in (True, False):
            yield lua(
                f"{encoder}, {'even' if even else 'uneven'}", flags={"encoder_type": encoder}, even=even
            )
        for cell in ("LSTM", "GRU"):
            flags = {
                "encoder_type": encoder,
                "rnn_type": cell,
                "dropout_type": "variational",
                "residual": True,
                "bridge": "dense",
                "dropout_input": True,
            }
            yield lua(f"{encoder} {cell}, variational, residual", flags=flags)


def _decoders() -> Iterator[Configuration]:
    for cell in ("LSTM", "GRU"):
        for attention in ("general", "dot", "concat", "none"):
            for bridge in ("copy", "dense", "dense_nonlinear", "none"):
                flags = {"rnn_type": cell, "bridge": bridge}
                flags |= {"attention": "none"} if attention == "none" else {"global_attention": attention}
                yield lua(f"dbrnn {cell}, attention {attention}, bridge {bridge}", flags=flags)
        for bridge in ("copy", "dense", "dense_nonlinear", "none"):
            flags = {"rnn_type": cell, "bridge": bridge, "input_feed": False}
            yield lua(f"{cell} without input feed, bridge {bridge}", flags=flags)


def _extras() -> Iterator[Configuration]:
    featured = DataSizes(src=(WORDS, LABELS), tgt=(WORDS, LABELS))
    yield lua("scheduled sampling", gold_probability=0.5)
    yield lua("scheduled sampling, -sample_vocab", gold_probability=0.5, restricted=True)
    yield lua("-sample_vocab", restricted=True)
    yield lua("-dropout_words", flags={"dropout_words": 0.3})
    yield lua("word features", sizes=featured, labels=(LABELS,))
    yield lua("-fix_word_vecs_enc", flags={"fix_word_vecs_enc": True})
    yield lua("bf16 products", products=torch.bfloat16)
    yield lua("fp16 products", products=torch.float16)
    yield _extended("coverage", [with_coverage], coverage_weight=1.0)
    yield _extended("copying", [with_copying])
    yield _extended("coverage and copying", [with_coverage, with_copying], labels=(LABELS,), sizes=featured)


def _extended(name: str, extend: list[Callable[[ModelSpec], ModelSpec]], **how: Any) -> Configuration:
    plain = lua(name, **how)
    spec = plain.spec
    for one in extend:
        spec = one(spec)
    return replace(plain, spec=spec)


def _taggers_and_language_models() -> Iterator[Configuration]:
    for loss in ("word", "sentence"):
        for encoder in ("rnn", "brnn", "dbrnn", "cnn"):
            options = TaggerOptions(
                encoder_type=encoder,
                layers=2,
                rnn_size=8,
                cnn_size=8,
                word_vec_size=(8,),
                loglikelihood=loss,
                model_type="seqtagger",
            )
            yield Configuration(
                name=f"tagger {encoder}, {loss} loss", spec=spec_from_options(options, SIZES), target="tags"
            )
    for cell in ("LSTM", "GRU"):
        options = LanguageModelOptions(
            layers=2, rnn_size=8, word_vec_size=(8,), model_type="lm", rnn_type=cell
        )
        for even in (True, False):
            yield Configuration(
                name=f"language model {cell}, {'even' if even else 'uneven'}",
                spec=spec_from_options(options, SIZES),
                even=even,
                target="none",
            )


GOOGLE_CELLS: dict[str, Any] = {
    "BasicLSTM": {"cell_class": "BasicLSTMCell", "cell_params": {"num_units": 8}, "num_layers": 2},
    "GRU": {"cell_class": "GRUCell", "cell_params": {"num_units": 8}},
    "projected LSTM": {
        "cell_class": "LSTMCell",
        "cell_params": {
            "num_units": 12,
            "num_proj": 8,
            "use_peepholes": True,
            "cell_clip": 10.0,
            "proj_clip": 5.0,
        },
        "num_layers": 2,
        "residual_connections": True,
    },
    "relu GRU": {
        "cell_class": "GRUCell",
        "cell_params": {"num_units": 8, "activation": "tensorflow.nn.relu"},
        "dropout_input_keep_prob": 0.8,
    },
}
GOOGLE_ENCODERS: dict[str, Any] = {
    "UnidirectionalRNNEncoder": {"rnn_cell": GOOGLE_CELLS["BasicLSTM"]},
    "BidirectionalRNNEncoder": {"rnn_cell": GOOGLE_CELLS["GRU"]},
    "StackBidirectionalRNNEncoder": {"rnn_cell": GOOGLE_CELLS["projected LSTM"]},
    "ConvEncoder": {
        "attention_cnn.units": 8,
        "attention_cnn.layers": 2,
        "output_cnn.units": 8,
        "output_cnn.layers": 2,
    },
    "PoolingEncoder": {"pool_size": 3},
}


def google(name: str, kind: str, params: dict[str, Any], **how: Any) -> Configuration:
    """Configure a model of google/seq2seq."""
    sizes = how.pop("sizes", SIZES)
    given = {"embedding.dim": 8, **params}
    return Configuration(name=name, spec=spec_of(read_model(kind, given), sizes), **how)


def _google() -> Iterator[Configuration]:
    attention = {"attention.params": {"num_units": 8}}
    for encoder, encoder_params in GOOGLE_ENCODERS.items():
        for cell, cell_params in GOOGLE_CELLS.items():
            for kind in ("Bahdanau", "Dot"):
                params = {
                    **attention,
                    "encoder.class": encoder,
                    "encoder.params": encoder_params,
                    "bridge.class": "InitialStateBridge",
                    "attention.class": f"AttentionLayer{kind}",
                    "decoder.params": {"rnn_cell": cell_params},
                    "optimizer.clip_embed_gradients": 0.1,
                }
                yield google(f"{encoder}, {cell}, {kind}", "AttentionSeq2Seq", params)
    cells = {f"{side}.params": {"rnn_cell": GOOGLE_CELLS["BasicLSTM"]} for side in ("encoder", "decoder")}
    yield google("BasicSeq2Seq", "BasicSeq2Seq", cells)
    yield google("BasicSeq2Seq, bridge", "BasicSeq2Seq", cells | {"bridge.class": "InitialStateBridge"})
    limited = {**attention, "decoder.params": cells["decoder.params"], "target.max_seq_len": 3}
    yield google("target.max_seq_len", "AttentionSeq2Seq", limited)
    image = {
        "encoder.params": {
            "resize_height": IMAGE[0],
            "resize_width": IMAGE[1],
            "final_endpoint": "MaxPool_3a_3x3",
        },
        "decoder.params": {"rnn_cell": {"cell_params": {"num_units": 6}}},
        **attention,
    }
    sizes = DataSizes(src=(), tgt=(WORDS,), src_image_size=IMAGE)
    yield google("Image2Seq", "Image2Seq", image, sizes=sizes, image=True, even=True)


FEW = (
    "dbrnn, uneven",
    "dbrnn, even",
    "optimiser adam",
    "pdbrnn GRU, variational, residual",
    "dbrnn GRU, attention concat, bridge none",
    "LSTM without input feed, bridge dense",
    "scheduled sampling, -sample_vocab",
    "-dropout_words",
    "coverage and copying",
    "tagger brnn, sentence loss",
    "language model LSTM, uneven",
    "StackBidirectionalRNNEncoder, projected LSTM, Bahdanau",
    "BasicSeq2Seq, bridge",
)
"""The configurations that the default test suite checks."""
