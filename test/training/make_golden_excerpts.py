"""Write golden_excerpts/: a few of the original's trainings, for checkouts without the golden folder.

Run from the repository's root: `PYTHONPATH=. python test/training/make_golden_excerpts.py`.
"""

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
from test_golden_training import GOLDEN, stored, trajectory, unpacked, weights_by_name

from onmt.data.vocabulary import Vocabulary

TARGET = Path(__file__).parent / "golden_excerpts"
RUNS = {"adam": "rnn", "sgd_decay_default": "rnn", "uneven_brnn_sum": "brnn_sum"}


def main() -> None:
    """Write the corpus, the initial weights and the runs."""
    TARGET.mkdir(exist_ok=True)
    corpus = {}
    for split in ("train", "valid"):
        for side in ("src", "tgt"):
            corpus[f"{split}_{side}"] = (GOLDEN / "corpus" / f"{split}.{side}").read_text().split("\n")[:-1]
    for side in ("src", "tgt"):
        corpus[f"{side}_vocab"] = list(Vocabulary.read(GOLDEN / "prep" / f"base.{side}.dict").words)
    for package in ("base", "unsorted"):
        orders = (GOLDEN / "prep" / f"{package}.perm").read_text().splitlines()
        corpus[f"{package}_order"] = [json.loads(order) for order in orders]
    (TARGET / "corpus.json").write_text(json.dumps(corpus, indent=0) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        for init in set(RUNS.values()):
            path = unpacked(f"init/{init}.t7", Path(folder))
            weights = json.loads(gzip.decompress((GOLDEN / "init" / f"{init}.weights.json.gz").read_bytes()))
            np.savez_compressed(TARGET / f"init_{init}.npz", **dict(weights_by_name(weights, path)))  # type: ignore[arg-type]
        for run, init in RUNS.items():
            path = unpacked(f"init/{init}.t7", Path(folder))
            final = {
                f"final {name}": weight
                for name, weight in weights_by_name(stored(run, "weights_final"), path)
            }
            golden = trajectory(run)
            np.savez_compressed(
                TARGET / f"{run}.npz",
                losses=[step["loss"] for step in golden["iterations"]],
                grad_norms=[step["grad_norm"] for step in golden["iterations"]],
                rates=[step["lr"] for step in golden["iterations"]],
                perplexities=[epoch["valid_ppl"] for epoch in golden["epochs"]],
                **final,  # type: ignore[arg-type]
            )


if __name__ == "__main__":
    main()
