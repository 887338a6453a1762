"""The real command lines on images, one after the other: prepare, train, resume, caption."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.demo import generate_shapes
from onmt.commands.model_files import average_models, inspect_model, release_model
from onmt.commands.pipeline import preprocess, train, translate
from onmt.models.base import stored_tensors
from onmt.modules.inception_encoder import InceptionV3

pytest.importorskip("PIL.Image")

ENDPOINT = "MaxPool_3a_3x3"  # reduces 40 x 40 pixels to a grid of 8 x 8
PARAMS = f"""
embedding.dim: 6
attention.params: {{num_units: 5}}
optimizer.learning_rate: 0.01
inference.beam_search.beam_width: 2
encoder.params: {{resize_height: 40, resize_width: 40, final_endpoint: {ENDPOINT}}}
decoder.params: {{rnn_cell: {{cell_params: {{num_units: 8}}, dropout_input_keep_prob: 0.8}}}}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    sizes = ["-train", "24", "-valid", "8", "-test", "5", "-size", "40"]
    assert generate_shapes(["-output", str(folder), *sizes]) == 0
    lists = ["-train", str(folder / "train.tsv"), "-valid", str(folder / "valid.tsv")]
    flags = [
        "-data_type",
        "img",
        "-image_height",
        "40",
        "-image_width",
        "40",
        "-save_data",
        str(folder / "d"),
    ]
    assert preprocess([*flags, *lists, "-log_level", "WARNING"]) == 0
    return folder


def run_train(data: Path, model: Path, *flags: str, params: str = PARAMS) -> int:
    given = ["-model", "Image2Seq", "-model_params", params, "-data", str(data / "d")]
    given += ["-max_batch_size", "6", "-log_level", "WARNING", "-eval_every_n_steps", "2"]
    return train([*given, "-save_model", str(model), *flags])


@pytest.fixture(scope="module")
def model(data: Path) -> str:
    assert run_train(data, data / "m", "-train_steps", "4", "-save_every_epochs", "1") == 0
    [path] = data.glob("m_epoch2_*.pt")
    return str(path)


def describe(model: str, *flags: str) -> int:
    return translate(["-model", model, "-log_level", "WARNING", *flags])


def test_a_resumed_training_ends_with_the_same_parameters_and_statistics(
    data: Path, model: str, tmp_path: Path
) -> None:
    assert run_train(data, tmp_path / "r", "-train_steps", "2") == 0
    [half] = tmp_path.glob("r_epoch1_*.pt")
    assert run_train(data, tmp_path / "r", "-train_from", str(half), "-continue", "-train_steps", "4") == 0
    [whole] = tmp_path.glob("r_epoch2_*.pt")
    ours, theirs = (load_checkpoint(path)["weights"] for path in (model, str(whole)))
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    statistics = ours["encoder.network.Conv2d_2b_3x3.bn.running_var"]
    assert not torch.equal(statistics, torch.ones_like(statistics))


def test_every_line_gets_a_caption_and_a_weight_for_every_place(
    data: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (data / "test.tsv").read_text().splitlines()
    listed = data / "some.tsv"
    listed.write_text("\n".join([lines[0], "", lines[1].split("\t")[0], lines[0]]))
    out, weights = tmp_path / "out", tmp_path / "weights"
    flags = [
        "-src",
        str(listed),
        "-save_attention",
        str(weights),
        "-batch_size",
        "2",
        "-max_sent_length",
        "7",
    ]
    assert describe(model, "-output", str(out), *flags) == 0
    captions = out.read_text().split("\n")
    assert len(captions) == 5
    assert captions[1] == captions[4] == ""
    assert captions[0] == captions[3]
    blocks = weights.read_text().rstrip("\n").split("\n\n")
    assert len(blocks) == 3
    for name, block in zip(("000001", "000002", "000001"), blocks, strict=True):
        header, *rows = block.split("\n")
        assert header.split(" ||| ")[3:] == [f"test/{name}.png", f"64 {len(rows)}"]
        for row in rows:
            values = [float(value) for value in row.split()]
            assert len(values) == 64
            assert sum(values) == pytest.approx(1, abs=1e-4)
    # File names from standard input are relative to the working directory.
    monkeypatch.chdir(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"test/000002.png\n")))
    assert describe(model, "-src", "-", "-output", str(tmp_path / "one"), "-max_sent_length", "7") == 0
    assert (tmp_path / "one").read_text() == captions[2] + "\n"


def test_attention_over_images_is_drawn_and_saved_as_arrays(
    data: Path, model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    flags = ["-src", str(data / "test.tsv"), "-output", str(tmp_path / "out"), "-max_sent_length", "4"]
    plots = tmp_path / "plots"
    arrays = tmp_path / "weights.npz"
    assert describe(model, *flags, "-plot_attention", str(plots), "-save_attention", str(arrays)) == 0
    assert sorted(path.name for path in plots.iterdir()) == [f"0000{number}.png" for number in range(5)]
    with np.load(arrays, allow_pickle=False) as content:
        assert [content[name].shape[1] for name in content] == [64] * 5
    assert capfd.readouterr().err == ""
    # Pictures that the run may still have to read are not overwritten.
    assert describe(model, *flags, "-plot_attention", str(data / "test")) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert "000001.png: this run may have to read it" in line


def test_references_are_scored(data: Path, model: str, tmp_path: Path) -> None:
    pairs = [line.split("\t") for line in (data / "test.tsv").read_text().splitlines()]
    references = tmp_path / "references"
    references.write_text("".join(f"{caption}\n" for _, caption in pairs))
    log = tmp_path / "log"
    flags = ["-src", str(data / "test.tsv"), "-tgt", str(references), "-output", str(tmp_path / "out")]
    assert translate(["-model", model, *flags, "-log_file", str(log)]) == 0
    text = log.read_text()
    assert text.count("GOLD SCORE:") == 5
    assert "IMG 1: test/000001.png" in text


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["-idx_files"], 2, "-idx_files has no meaning"),
        (["-replace_unk"], 2, "need source words"),
    ],
)
def test_flags_about_words_are_refused(
    data: Path,
    model: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    flags: list[str],
    code: int,
    message: str,
) -> None:
    assert describe(model, "-src", str(data / "test.tsv"), "-output", str(tmp_path / "o"), *flags) == code
    [line] = capfd.readouterr().err.splitlines()
    assert message in line


def test_a_bad_image_is_named_by_its_line(
    data: Path, model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"{data}/test/000001.png\n{data}/test.tsv\n")
    assert describe(model, "-src", str(listed), "-output", str(tmp_path / "out")) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert f"{listed}, line 2: the image '{data}/test.tsv' cannot be read" in line


def test_models_of_images_are_released_averaged_and_inspected(data: Path, model: str, tmp_path: Path) -> None:
    released, average = str(tmp_path / "released.pt"), str(tmp_path / "average.pt")
    assert release_model(["-model", model, "-output_model", released]) == 0
    assert average_models(["-models", model, model, "-output_model", average]) == 0
    assert inspect_model(["-model", model]) == 0
    captions = []
    for path in (model, released, average):
        out = tmp_path / "out"
        flags = ["-src", str(data / "test.tsv"), "-output", str(out), "-max_sent_length", "7"]
        assert describe(path, *flags) == 0
        captions.append(out.read_text())
    assert captions[0] == captions[1] == captions[2]


def test_training_starts_from_published_weights_and_translates_to_validate(
    data: Path, tmp_path: Path
) -> None:
    tensors = stored_tensors(InceptionV3(ENDPOINT))
    torch.save({name: torch.full(one.shape, 0.01) for name, one in tensors.items()}, tmp_path / "w.pth")
    flags = ["-image_weights", str(tmp_path / "w.pth"), "-validation_metric", "bleu", "-train_steps", "2"]
    still = PARAMS.replace("learning_rate: 0.01", "learning_rate: 0.000000001")
    assert run_train(data, tmp_path / "w", *flags, params=still) == 0
    [path] = tmp_path.glob("w_epoch1_*.pt")
    weights = load_checkpoint(path)["weights"]
    for name in tensors:
        if "running" not in name:
            weight = weights[f"encoder.network.{name}"]
            torch.testing.assert_close(weight, torch.full_like(weight, 0.01), rtol=0, atol=1e-6)


def test_data_of_images_needs_a_model_of_images(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(["-data", str(data / "d"), "-save_model", str(tmp_path / "m")]) == 2
    assert "only -model Image2Seq can be trained on them" in capfd.readouterr().err
    flags = ["-model", "AttentionSeq2Seq", "-data", str(data / "d"), "-save_model", str(tmp_path / "m")]
    assert train(flags) == 2
    assert "use -model Image2Seq" in capfd.readouterr().err


@pytest.mark.slow
def test_captions_are_learnt(tmp_path: Path) -> None:
    """Takes about two minutes on one core."""
    sizes = ["-train", "3000", "-valid", "20", "-test", "200"]
    assert generate_shapes(["-output", str(tmp_path), *sizes]) == 0
    flags = [
        "-data_type",
        "img",
        "-image_height",
        "75",
        "-image_width",
        "75",
        "-save_data",
        str(tmp_path / "d"),
    ]
    lists = ["-train", str(tmp_path / "train.tsv"), "-valid", str(tmp_path / "valid.tsv")]
    assert preprocess([*flags, *lists]) == 0
    params = """
    encoder.params: {resize_height: 75, resize_width: 75, final_endpoint: Mixed_5d}
    decoder.params: {rnn_cell: {cell_class: GRUCell}}
    optimizer.learning_rate: 0.001
    """
    training = ["-max_batch_size", "16", "-train_steps", "750", "-eval_every_n_steps", "750"]
    model = ["-model", "Image2Seq", "-model_params", params, "-save_model", str(tmp_path / "m")]
    assert train(["-data", str(tmp_path / "d"), *model, *training]) == 0
    [path] = tmp_path.glob("m_*.pt")
    listed, out = tmp_path / "test.tsv", tmp_path / "out"
    assert describe(str(path), "-src", str(listed), "-output", str(out)) == 0
    wanted = [line.split("\t")[1] for line in listed.read_text().splitlines()]
    right = sum(map(str.__eq__, wanted, out.read_text().splitlines()))
    assert right >= 0.9 * len(wanted)
