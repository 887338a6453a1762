"""Rows for the parameters of encoders and decoders: cells, positions, convolutions, pooling, images."""

from typing import Any

from .row import IMAGE, TEXT, Row, rows


def cell_rows(model: str, side: str, kind: str, inputs: int, directions: int) -> list[Row]:
    """Rows of an rnn_cell block with `inputs` input values; `directions` are concatenated."""
    stacked = kind == "StackBidirectionalRNNEncoder"
    block, params = f"{side}.params rnn_cell", f"{side}.params"

    def one(path: str, default: Any, other: Any, seen: str, *then: Any, inert: str = "", **cell: Any) -> Row:
        beside = {f"{side}.class": kind, **({params: {"rnn_cell": cell}} if cell else {})}
        where = f"{block} {path}".strip()
        (row,) = rows((model,), where, default, other, f"{side}: {seen}", *then, beside=beside, inert=inert)
        return row

    def passed(path: str, default: Any, other: Any, *then: Any, **cell: Any) -> Row:
        """A row observed by `passed_on`; `then` has (width, sum) of one direction, before and after."""
        if stacked:
            then = ((128, 0),) * 2
        before, after = (tuple(directions * number for number in pair) for pair in then)
        inert = "these cells are unpacked there, and lose their residual connections" if stacked else ""
        return one(path, default, other, "passed on", before, after, inert=inert, num_layers=2, **cell)

    usual, small = [(inputs, 128)] * directions, [(inputs, 9)] * directions
    deeper = 256 if stacked else 128
    three = [(inputs, 128), (deeper, 128), (deeper, 128)]
    three = [pair for pair in three for _ in range(2)] if stacked else three * directions
    kept, wide = [1.0] * (2 * directions), inputs + 256
    residual = {"residual_connections": True}
    return [
        one("cell_class", "BasicLSTMCell", "GRUCell", "gates", [512] * directions, [384] * directions),
        one("cell_params", {}, {"num_units": 9}, "cells", usual, small),
        one("cell_params num_units", 128, 9, "cells", usual, small),
        one("cell_params forget_bias", 1.0, 0.0, "remembered", [0.73106] * directions, [0.5] * directions),
        one("num_layers", 1, 3, "cells", usual, three),
        one("dropout_input_keep_prob", 1.0, 0.75, "kept inputs", kept, [4 / 3] * len(kept), num_layers=2),
        one("dropout_output_keep_prob", 1.0, 0.75, "kept outputs", kept, [4 / 3] * len(kept), num_layers=2),
        passed("residual_connections", False, True, (128, 0), (128, 128)),
        passed("residual_combiner", "add", "concat", (128, 128), (wide, inputs), **residual),
        passed("residual_combiner", "add", "mean", (128, 256), (128, 128), residual_dense=True, **residual),
        passed("residual_dense", False, True, (128, 128), (128, 256), **residual),
        one("", {}, {"num_layers": 3}, "cells", usual, three),
    ]


def common_rows(model: str, side: str, kind: str) -> list[Row]:
    """Rows of recurrent encoders and decoders besides those of their cells."""
    path, seen = f"{side}.params init_scale", f"{side}: largest weight"
    return rows((model,), path, 0.04, 0.5, seen, 0.04, 0.5, beside={f"{side}.class": kind})


def decoder_rows(model: str, kind: str, inputs: int) -> list[Row]:
    """All rows of a decoder that reads `inputs` numbers per step."""
    length = "decoder.params max_decode_length", 100, 30, "longest translation", 100, 30
    return [
        *rows((model,), *length, beside={"decoder.class": kind}),
        *common_rows(model, "decoder", kind),
        *cell_rows(model, "decoder", kind, inputs, 1),
    ]


RECURRENT = [
    row
    for model, kind, directions in (
        ("BasicSeq2Seq", "UnidirectionalRNNEncoder", 1),
        ("AttentionSeq2Seq", "UnidirectionalRNNEncoder", 1),
        ("AttentionSeq2Seq", "BidirectionalRNNEncoder", 2),
        ("AttentionSeq2Seq", "StackBidirectionalRNNEncoder", 2),
    )
    for row in (*common_rows(model, "encoder", kind), *cell_rows(model, "encoder", kind, 100, directions))
]
DECODERS = [
    *decoder_rows("BasicSeq2Seq", "BasicDecoder", 100),
    *decoder_rows("AttentionSeq2Seq", "BasicDecoder", 100),
    *decoder_rows("AttentionSeq2Seq", "AttentionDecoder", 356),
    *decoder_rows("Image2Seq", "AttentionDecoder", 164),
]


def code(count: int) -> float:
    """Return the first component of the first of `count` position codes of width 100."""
    return (1 - 1 / (count + 1)) - (1 / 101) * (1 - 2 / (count + 1))


POSITIONS = "position_embeddings"
WITHOUT = {f"{POSITIONS}.enable": False}
AVERAGE, MAXIMUM = (f"tensorflow.layers.{kind}_pooling1d" for kind in ("average", "max"))
MULTIPLY, ADD = "tensorflow.multiply", "tensorflow.add"


def conv(path: str, default: Any, other: Any, seen: str, before: Any, after: Any, **params: Any) -> list[Row]:
    """Rows of a parameter of ConvEncoder; `params` are set besides it."""
    beside = {"encoder.class": "ConvEncoder", "encoder.params": params}
    return rows(TEXT, f"encoder.params {path}", default, other, seen, before, after, beside=beside)


def pool(path: str, default: Any, other: Any, seen: str, before: Any, after: Any, **more: Any) -> list[Row]:
    """Rows of a parameter of PoolingEncoder, observed without position codes."""
    beside = {"encoder.class": "PoolingEncoder", "encoder.params": WITHOUT}
    return rows(TEXT, f"encoder.params {path}", default, other, seen, before, after, beside=beside, **more)


def position_rows(kind: str) -> list[Row]:
    """Rows of an encoder's position codes, observed at the first position of an input of twos."""
    beside, before = {"encoder.class": kind}, 2 * code(100)
    return [
        row
        for name, default, other, after in (
            ("enable", True, False, 2.0),
            ("combiner_fn", MULTIPLY, ADD, 2 + code(100)),
            ("num_positions", 100, 60, 2 * code(60)),
        )
        for row in rows(
            *(TEXT, f"encoder.params {POSITIONS}.{name}", default, other, "a two comes first", before, after),
            beside=beside,
        )
    ]


def image(path: str, default: Any, other: Any, seen: str, before: Any, after: Any) -> list[Row]:
    """Rows of a parameter of InceptionV3Encoder; the others have their defaults."""
    beside = {"encoder.params": None}
    return rows(IMAGE, f"encoder.params {path}", default, other, seen, before, after, beside=beside)


OTHER_ENCODERS = [
    *conv("attention_cnn.units", 512, 8, "keys", (15, 512, 3), (15, 8, 3)),
    *conv("attention_cnn.kernel_size", 3, 5, "keys", (15, 512, 3), (15, 512, 5)),
    *conv("attention_cnn.layers", 15, 3, "keys", (15, 512, 3), (3, 512, 3)),
    *conv("output_cnn.units", 256, 8, "values", (5, 256, 3), (5, 8, 3)),
    *conv("output_cnn.kernel_size", 3, 5, "values", (5, 256, 3), (5, 256, 5)),
    *conv("output_cnn.layers", 5, 3, "values", (5, 256, 3), (3, 256, 3)),
    *conv("embedding_dropout_keep_prob", 0.8, 0.5, "kept words", 1.25, 2.0, **WITHOUT),
    *position_rows("ConvEncoder"),
    *pool("dropout_keep_prob", 0.8, 0.5, "kept words", 1.25, 2.0),
    *pool("pooling_fn", AVERAGE, MAXIMUM, "pooled 4 9 5", 6.0, 9.0),
    *pool("pool_size", 5, 3, "pooled 4 9 5", 6.0, 6.5),
    *pool("strides", 1, 2, "pooled 4 9 5", 6.0, None, refused="strides must be 1"),
    *position_rows("PoolingEncoder"),
    *image("resize_height", 299, 151, "images that fit", [(299, 299)], [(151, 299)]),
    *image("resize_width", 299, 151, "images that fit", [(299, 299)], [(299, 151)]),
    *image("final_endpoint", "Mixed_7c", "Mixed_5d", "compared", 2048, 288),
]
