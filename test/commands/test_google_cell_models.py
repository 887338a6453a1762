"""Models of LSTMCells with all their arguments, whose states differ in width, work in every command."""

from pathlib import Path

import pytest
import torch
from letter_pairs import prepare_pairs, translation

from onmt.checkpoint import load_checkpoint
from onmt.commands.model_files import average_models, inspect_model, release_model
from onmt.commands.pipeline import train

PARAMS = """
embedding.dim: 7
encoder.params: {rnn_cell: &}
decoder.params: {rnn_cell: &}
optimizer.name: RMSProp
optimizer.params: {centered: true, momentum: 0.5}
optimizer.learning_rate: 0.005
""".replace(
    "&",
    "{cell_class: LSTMCell, num_layers: 2, residual_connections: true, dropout_input_keep_prob: 0.9, "
    "dropout_output_keep_prob: 0.9, cell_params: {num_units: 12, num_proj: 8, proj_clip: 2.0, cell_clip: 3, "
    "use_peepholes: true, forget_bias: 0.5, activation: tf.sigmoid}}",
)
SENTENCES = ["a b c", "d", "c c b a d e", "", "e f", *(" ".join("abcdef"[: 1 + n % 5]) for n in range(25))]
BATCHES = ["-max_batch_size", "10", "-uneven_batches"]
MODELS = {
    "BasicSeq2Seq": "UnidirectionalRNNEncoder",
    "AttentionSeq2Seq": "BidirectionalRNNEncoder",
    "seq2seq.models.AttentionSeq2Seq": "StackBidirectionalRNNEncoder",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with prepared pairs `d`, and lines to translate in `src`."""
    folder = tmp_path_factory.mktemp("cells")
    prepare_pairs(folder, SENTENCES)
    return folder


def trained(data: Path, stem: Path, name: str, steps: int = 20) -> list[Path]:
    """Train for this many steps; return the models, one for every 10 steps."""
    argv = ["-data", str(data / "d"), "-save_model", str(stem), *BATCHES, "-model", name]
    argv += ["-train_steps", str(steps), "-eval_every_n_steps", "10"]
    encoder = f"encoder.class: seq2seq.encoders.{MODELS[name]}\nbridge.class: InitialStateBridge\n"
    assert train([*argv, "-model_params", PARAMS + encoder]) == 0
    return sorted(stem.parent.glob(f"{stem.name}_epoch*"))


@pytest.mark.parametrize("name", MODELS)
def test_trained_translated_released_averaged(data: Path, tmp_path: Path, name: str) -> None:
    first, last = trained(data, tmp_path / "m", name)
    for beam in ("1", "3"):
        chosen = ("-beam_size", beam, "-max_sent_length", "8")
        together = translation(last, data, tmp_path / "out", *chosen, "-batch_size", "30")
        assert together == translation(last, data, tmp_path / "out", *chosen, "-batch_size", "1")
        assert len(together) == len(SENTENCES) + 1
    released, averaged = tmp_path / "released.pt", tmp_path / "averaged.pt"
    assert release_model(["-model", str(last), "-output_model", str(released)]) == 0
    assert translation(released, data, tmp_path / "out", *chosen) == together
    assert average_models(["-models", str(first), str(last), "-output_model", str(averaged)]) == 0
    weights = [load_checkpoint(path)["weights"] for path in (first, last, averaged)]
    assert sum(name.endswith(("peepholes", "projection")) for name in weights[0]) >= 8
    for part in weights[0]:
        torch.testing.assert_close(weights[2][part], (weights[0][part] + weights[1][part]) / 2)


def test_a_continued_training_ends_bit_for_bit_the_same(data: Path, tmp_path: Path) -> None:
    whole = trained(data, tmp_path / "whole", "BasicSeq2Seq")[-1]
    part = trained(data, tmp_path / "part", "BasicSeq2Seq", 10)[-1]
    argv = [
        "-train_from",
        str(part),
        "-continue",
        "-train_steps",
        "20",
        "-save_model",
        str(tmp_path / "again"),
    ]
    assert train([*argv, "-data", str(data / "d"), *BATCHES]) == 0
    again = sorted(tmp_path.glob("again_epoch*"))[-1]
    left, right = load_checkpoint(again)["weights"], load_checkpoint(whole)["weights"]
    assert left.keys() == right.keys()
    for name, weight in left.items():
        assert torch.equal(weight, right[name]), name


def test_the_cells_are_described(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = trained(data, tmp_path / "m", "AttentionSeq2Seq")[-1]
    log = capsys.readouterr().out
    cell = "activation = sigmoid; peepholes = yes; cell_clip = 3"
    assert f"{cell}; projection = 16; projection_clip = 2\n" in log  # both directions of the encoder
    assert f"{cell}; projection = 8; projection_clip = 2\n" in log
    assert inspect_model(["-model", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "  decoder.stack.cell.peepholes = true",
        "  decoder.stack.cell.projection = 8",
        "  decoder.stack.layers.1.peepholes: 3 x 12",
        "  decoder.stack.layers.1.projection: 8 x 12",
        "  decoder.stack.layers.1.weight_hh: 48 x 8",
        "  bridge.weight: 40 x 80",
        "  optimiser: rmsprop_centered",
    ):
        assert line in lines
