"""Rows for the classes of encoders, decoders, attention and bridges, and the parameters of the last two."""

from .row import ALL, ATTENDING, ATTENTION, BASIC, IMAGE, TEXT, rows

_BRIDGES, _ENCODERS, _DECODERS = "seq2seq.models.bridges", "seq2seq.encoders", "seq2seq.decoders"
_ZERO, _PASS = f"{_BRIDGES}.ZeroBridge", f"{_BRIDGES}.PassThroughBridge"
_INITIAL = f"{_BRIDGES}.InitialStateBridge"
_FORWARD, _BOTH = f"{_ENCODERS}.UnidirectionalRNNEncoder", f"{_ENCODERS}.BidirectionalRNNEncoder"
_CONV, _INCEPTION = f"{_ENCODERS}.ConvEncoder", f"{_ENCODERS}.InceptionV3Encoder"
_BASIC, _ATTENTION = f"{_DECODERS}.BasicDecoder", f"{_DECODERS}.AttentionDecoder"
_BAHDANAU, _DOT = "AttentionLayerBahdanau", "seq2seq.decoders.attention.AttentionLayerDot"
_LARGE = {"encoder.params": None}
_BRIDGED = {"bridge.class": _INITIAL}

_ENCODER_CLASSES = [
    *rows(BASIC, "encoder.class", _FORWARD, _BOTH, "memory and keys", (128, 128), (256, 256)),
    *rows(ATTENTION, "encoder.class", _BOTH, _CONV, "memory and keys", (256, 256), (256, 512)),
    *rows(
        *(IMAGE, "encoder.class", _INCEPTION, _CONV, "compared", 2048, None),
        beside=_LARGE,
        refused="cannot be used with -model Image2Seq",
    ),
    *rows(TEXT, "encoder.params", {}, {"init_scale": 0.3}, "encoder: largest weight", 0.04, 0.3),
    *rows(IMAGE, "encoder.params", {}, {"final_endpoint": "Mixed_5d"}, "compared", 2048, 288, beside=_LARGE),
]

_DECODER_CLASSES = [
    *rows(
        *(BASIC, "decoder.class", _BASIC, _ATTENTION, "inputs of the decoder", 100, None),
        refused="BasicSeq2Seq has no attention",
    ),
    *rows(ATTENTION, "decoder.class", _ATTENTION, _BASIC, "inputs of the decoder", 356, 100),
    *rows(IMAGE, "decoder.class", _ATTENTION, _BASIC, "inputs of the decoder", 164, 100),
    *rows(ALL, "decoder.params", {}, {"init_scale": 0.3}, "decoder: largest weight", 0.04, 0.3),
]

_ATTENTION_CLASSES = [
    *rows(
        *(ATTENDING, "attention.class", _BAHDANAU, _DOT, "query and scores"),
        *(((128, 128), (128,)), ((128, 128), None)),
    ),
    *rows(ATTENTION, "attention.params", {}, {"num_units": 9}, "units of attention", 128, 9),
    *rows(IMAGE, "attention.params", {"num_units": 128}, {"num_units": 9}, "units of attention", 128, 9),
    *(
        row
        for kind in (_BAHDANAU, _DOT)
        for row in rows(
            *(ATTENDING, "attention.params num_units", 128, 9, "units of attention", 128, 9),
            beside={"attention.class": kind},
        )
    ),
]

_BRIDGE_CLASSES = [
    *rows(BASIC, "bridge.class", _INITIAL, _PASS, "first states", -1.0, 2.0),
    *rows(ATTENTION, "bridge.class", _ZERO, _INITIAL, "first states", 0.0, -1.0),
    *rows(IMAGE, "bridge.class", "ZeroBridge", "InitialStateBridge", "first states", 0.0, -1.0),
    *rows(
        *(ALL, "bridge.params", {}, {"activation_fn": "tensorflow.tanh"}, "first states", -1.0, -0.76159),
        beside=_BRIDGED,
    ),
    *rows(
        *(ALL, "bridge.params activation_fn", "tensorflow.identity", "tensorflow.sigmoid", "first states"),
        *(-1.0, 0.26894),
        beside=_BRIDGED,
    ),
    *rows(
        *(ALL, "bridge.params bridge_input", "final_state", "outputs", "first states", -1.0, None),
        beside=_BRIDGED,
        refused="bridge_input must be final_state",
    ),
]

CLASSES = [*_ENCODER_CLASSES, *_DECODER_CLASSES, *_ATTENTION_CLASSES, *_BRIDGE_CLASSES]
