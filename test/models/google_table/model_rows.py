"""Rows for the parameters of the models themselves, without those of their parts."""

from .row import ALL, IMAGE, TEXT, rows

PLAIN = {"optimizer.name": "SGD", "optimizer.learning_rate": 1.0}
DECAY = {"optimizer.lr_decay_type": "exponential_decay", "optimizer.learning_rate": 1.0}
UNCLIPPED = {"optimizer.learning_rate": 0.5, "optimizer.clip_gradients": 0.0}
WITH_EPSILON = -sum(1 / (2 + 2 / (1 - 0.999**step) ** 0.5) for step in (1, 2))

SYNC = "optimizer.sync_replicas"

MODEL_BASE = [
    *rows(ALL, "optimizer.name", "Adam", "SGD", "two updates", -1.0, -2.0, beside=UNCLIPPED),
    *rows(ALL, "optimizer.learning_rate", 1e-4, 0.5, "rate after 10", 1e-4, 0.5),
    *rows(ALL, "optimizer.params", {}, {"epsilon": 2.0}, "two updates", -1.0, WITH_EPSILON, beside=UNCLIPPED),
    *rows(ALL, "optimizer.lr_decay_type", "", "exponential_decay", "rate after 100", 1e-4, 0.99e-4),
    *rows(ALL, "optimizer.lr_decay_steps", 100, 50, "rate after 100", 0.99, 0.99**2, beside=DECAY),
    *rows(ALL, "optimizer.lr_decay_rate", 0.99, 0.5, "rate after 100", 0.99, 0.5, beside=DECAY),
    *rows(ALL, "optimizer.lr_start_decay_at", 0, 100, "rate after 200", 0.99**2, 0.99, beside=DECAY),
    *rows(ALL, "optimizer.lr_stop_decay_at", 2**31 - 1, 100, "rate after 500", 0.99**5, 0.99, beside=DECAY),
    *rows(ALL, "optimizer.lr_min_learning_rate", 1e-12, 0.9, "rate after 500000", 1e-12, 0.9, beside=DECAY),
    *rows(ALL, "optimizer.lr_staircase", False, True, "rate after 150", 0.99**1.5, 0.99, beside=DECAY),
    *rows(
        *(ALL, "optimizer.clip_gradients", 5.0, 2.0, "length of an update", 5.0, 2.0),
        beside={**PLAIN, "optimizer.clip_embed_gradients": 0.0},
    ),
    *rows(ALL, SYNC, 0, 2, "settings without effect", "", SYNC),
    *rows(ALL, f"{SYNC}_to_aggregate", 0, 2, "settings without effect", "", f"{SYNC}_to_aggregate"),
]

BEAM = "inference.beam_search"
READ = {
    "encoder.class": "PoolingEncoder",
    "encoder.params": {"position_embeddings.enable": False, "pool_size": 1},
    "bridge.class": "ZeroBridge",
}

SEQ2SEQ = [
    *rows(TEXT, "source.max_seq_len", 50, 7, "positions of 60 words", 50, 7),
    *rows(ALL, "target.max_seq_len", 50, 7, "words of 60", 49, 6),
    *rows(TEXT, "source.reverse", True, False, "ids that are read", [3, 6, 5, 4], [4, 5, 6, 3], beside=READ),
    *rows(TEXT, "embedding.dim", 100, 12, "tables", [(20, 100)] * 2, [(20, 12)] * 2),
    *rows(IMAGE, "embedding.dim", 100, 12, "tables", [(20, 100)], [(20, 12)]),
    *rows(TEXT, "embedding.init_scale", 0.04, 0.5, "largest in each table", [0.04] * 2, [0.5] * 2),
    *rows(IMAGE, "embedding.init_scale", 0.04, 0.5, "largest in each table", [0.04], [0.5]),
    *rows(TEXT, "embedding.share", False, True, "tables", [(20, 100)] * 2, [(20, 100)]),
    *rows(ALL, f"{BEAM}.beam_width", 0, 4, "beam", 1, 4),
    *rows(ALL, f"{BEAM}.length_penalty_weight", 0.0, 0.6, "length penalty", 0.0, 0.6),
    *rows(
        ALL,
        f"{BEAM}.choose_successors_fn",
        "choose_top_k",
        "f",
        "beam",
        1,
        None,
        refused="must be choose_top_k",
    ),
    *rows(ALL, "inference.max_decode_length", 100, 20, "longest translation", 100, 20),
    *rows(
        *(ALL, "optimizer.clip_embed_gradients", 0.1, 0.5, "length of a table's update", 0.1, 0.5),
        beside={**PLAIN, "optimizer.clip_gradients": 0.0},
    ),
    *rows(TEXT, "vocab_source", "", "words.txt", "vocabulary of the source", "", "words.txt"),
    *rows(ALL, "vocab_target", "", "words.txt", "vocabulary of the target", "", "words.txt"),
]
