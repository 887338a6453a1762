"""The meaning of names that a parameter may have as its value."""

from collections.abc import Mapping
from typing import Any

from .model_rows import UNCLIPPED

HALVED = {"optimizer.learning_rate": 1.0, "optimizer.lr_decay_rate": 0.5}
FTRL = {"optimizer.params": {"l2_regularization_strength": 1.0}}
FTRL_ONCE = -2 / (2 * 4.1**0.5 + 2)

NAMES: list[tuple[str, tuple[str, ...], str, str, Any, Mapping[str, Any]]] = [
    *(
        ("AttentionSeq2Seq", ("encoder.class",), kind, "memory and keys", then, {})
        for kind, then in (
            ("UnidirectionalRNNEncoder", (128, 128)),
            ("BidirectionalRNNEncoder", (256, 256)),
            ("StackBidirectionalRNNEncoder", (256, 256)),
            ("ConvEncoder", (256, 512)),
            ("PoolingEncoder", (100, 100)),
        )
    ),
    ("Image2Seq", ("encoder.class",), "InceptionV3Encoder", "memory and keys", (64, 64), {}),
    *(
        ("AttentionSeq2Seq", ("decoder.class",), kind, "inputs of the decoder", inputs, {})
        for kind, inputs in (("BasicDecoder", 100), ("AttentionDecoder", 356))
    ),
    *(
        ("AttentionSeq2Seq", ("attention.class",), kind, "query and scores", ((128, 128), v), {})
        for kind, v in (("AttentionLayerBahdanau", (128,)), ("AttentionLayerDot", None))
    ),
    *(
        ("BasicSeq2Seq", ("bridge.class",), kind, "first states", then, {})
        for kind, then in (("ZeroBridge", 0.0), ("PassThroughBridge", 2.0), ("InitialStateBridge", -1.0))
    ),
    *(
        ("BasicSeq2Seq", ("bridge.params", "activation_fn"), name, "first states", then, {})
        for name, then in (
            ("tensorflow.identity", -1.0),
            ("tensorflow.tanh", -0.76159),
            ("tensorflow.sigmoid", 0.26894),
            ("tensorflow.nn.relu", 0.0),
        )
    ),
    *(
        ("BasicSeq2Seq", ("encoder.params", "rnn_cell", "cell_class"), kind, "encoder: gates", [rows], {})
        for kind, rows in (
            ("BasicLSTMCell", 512),
            ("LSTMCell", 512),
            ("GRUCell", 384),
            ("BasicRNNCell", 128),
        )
    ),
    *(
        ("BasicSeq2Seq", ("optimizer.name",), name, "two updates", then, {**UNCLIPPED, **beside})
        for name, then, beside in (
            ("Adam", -1.0, {}),
            ("SGD", -2.0, {}),
            ("Momentum", -2.9, {"optimizer.params": {"momentum": 0.9}}),
            ("Adagrad", -(4.1**-0.5) - 8.1**-0.5, {}),
            ("RMSProp", -(1.3**-0.5) - 1.57**-0.5, {}),
            ("Ftrl", -(4 - 2 * (8.1**0.5 - 4.1**0.5) * FTRL_ONCE) / (2 * 8.1**0.5 + 2), FTRL),
        )
    ),
    *(
        ("BasicSeq2Seq", ("optimizer.lr_decay_type",), name, "rate after 100", then, HALVED)
        for name, then in (
            ("exponential_decay", 0.5),
            ("natural_exp_decay", 0.60653),
            ("inverse_time_decay", 1 / 1.5),
        )
    ),
]
"""Rows of (model, path of the parameter, name, observation, observed value, other parameters)."""
