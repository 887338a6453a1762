"""Models described by google/seq2seq's classes work in the same commands as those of OpenNMT Lua's flags."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from letter_pairs import prepare_pairs, translation

from onmt.checkpoint import load_checkpoint
from onmt.commands.model_files import average_models, inspect_model, release_model
from onmt.commands.pictures import visualize
from onmt.commands.pipeline import train
from onmt.commands.word_vectors import extract_embeddings

PARAMS = """
embedding.dim: 12
attention.params: {num_units: 12}
encoder.params: {rnn_cell: {cell_class: GRUCell, cell_params: {num_units: 12}}}
decoder.params: {rnn_cell: {cell_class: GRUCell, cell_params: {num_units: 16}}}
optimizer.learning_rate: 0.02
"""
SENTENCES = ["a b c", "d", "c c b a d e", "", "e f"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with two models, `m_epoch1_*` and `m_epoch2_*`, and lines to translate in `src`."""
    folder = tmp_path_factory.mktemp("google")
    prepare_pairs(folder, SENTENCES)
    training = ["-data", str(folder / "d"), "-save_model", str(folder / "m"), "-max_batch_size", "10"]
    steps = ["-train_steps", "40", "-eval_every_n_steps", "20"]
    assert train([*training, *steps, "-model", "AttentionSeq2Seq", "-model_params", PARAMS]) == 0
    return folder


def model(folder: Path, epoch: int) -> str:
    return str(next(folder.glob(f"m_epoch{epoch}_*.pt")))


@pytest.mark.parametrize("beam", ["1", "4"])
def test_translation_does_not_depend_on_the_batch(folder: Path, tmp_path: Path, beam: str) -> None:
    together = translation(model(folder, 2), folder, tmp_path / "out", "-beam_size", beam)
    alone = translation(model(folder, 2), folder, tmp_path / "out", "-beam_size", beam, "-batch_size", "1")
    assert together == alone
    assert len(together) == len(SENTENCES) + 1
    assert together[3] == ""
    assert together[0] != ""


def test_attention_is_over_the_source_as_it_was_given(folder: Path, tmp_path: Path) -> None:
    """The encoder reads an end symbol and the source reversed, but attention is saved in source order."""
    attention, page = tmp_path / "attention", tmp_path / "page.html"
    beams = tmp_path / "beams.json"
    translation(
        *(model(folder, 2), folder, tmp_path / "out", "-save_attention", str(attention)),
        *("-save_beam_to", str(beams)),
    )
    blocks = attention.read_text(encoding="utf-8").split("\n\n")
    rows = [line.split() for line in blocks[0].split("\n")[1:] if line]
    assert rows
    assert all(len(row) == 3 for row in rows)
    assert all(0 < sum(map(float, row)) < 1 for row in rows)  # the end symbol gets the rest
    assert visualize(["-attention", str(attention), "-beam", str(beams), "-output", str(page)]) == 0
    assert "<html" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("beam", ["1", "4"])
def test_arrays_of_the_search_lead_to_the_translations(folder: Path, tmp_path: Path, beam: str) -> None:
    """Finished hypotheses stay in the beam; length normalisation does not count end symbols."""
    flags = ["-beam_size", beam, "-length_norm", "0.6", "-max_sent_length", "6"]
    found = []
    for size in ("1", "30"):
        arrays, attention = tmp_path / f"{size}.npz", tmp_path / f"attention{size}.npz"
        files = ["-save_beam_to", str(arrays), "-save_attention", str(attention)]
        lines = translation(model(folder, 2), folder, tmp_path / "out", *flags, *files, "-batch_size", size)
        with np.load(arrays, allow_pickle=False) as content:
            found.append(dict(content))
        with np.load(attention, allow_pickle=False) as content:
            expected = [
                (len(line.split()), len(src.split())) for line, src in zip(lines[:-1], SENTENCES, strict=True)
            ]
            assert [content[f"arr_{line}"].shape for line in range(len(SENTENCES))] == expected
    beams, others = found
    np.testing.assert_array_equal(beams["predicted_ids"], others["predicted_ids"])
    np.testing.assert_allclose(beams["scores"], others["scores"], atol=1e-5)
    assert beams["predicted_ids"].shape == (len(SENTENCES), beams["steps"].max(), int(beam))
    for sentence, (line, steps) in enumerate(zip(lines[:-1], beams["steps"], strict=True)):
        ids, parents = beams["predicted_ids"][sentence], beams["beam_parent_ids"][sentence]
        assert (steps == 0) == (SENTENCES[sentence] == "")
        words: list[str] = []
        slot = 0  # the best hypothesis of the last step
        for step in reversed(range(steps)):
            words.insert(0, str(beams["target_words"][ids[step, slot]]))
            slot = parents[step, slot]
        if words:
            assert " ".join(word for word in words[:-1] if word != "</s>") == line
            length = len(words) - words.count("</s>")
            total = beams["log_probs"][sentence, steps - 1, 0]
            score = beams["scores"][sentence, steps - 1, 0]
            assert score == pytest.approx(total / ((5 + length) / 6) ** 0.6, rel=1e-12)
            assert score == beams["scores"][sentence, steps - 1].max()


def test_the_page_reads_a_translation_from_the_arrays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = translation(model(folder, 2), folder, tmp_path / "out", "-save_beam_to", "beams.npz")
    page = (Path(__file__).parents[2] / "docs" / "google-seq2seq.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    capsys.readouterr()
    exec(program, {})
    words = capsys.readouterr().out.split()
    assert words[-1] == "</s>"
    assert [word for word in words if word != "</s>"] == lines[0].split() != []


def test_released_and_averaged_models_translate(folder: Path, tmp_path: Path) -> None:
    released, averaged = str(tmp_path / "released.pt"), str(tmp_path / "averaged.pt")
    paths = [model(folder, 1), model(folder, 2)]
    assert release_model(["-model", paths[1], "-output_model", released]) == 0
    assert translation(released, folder, tmp_path / "a") == translation(paths[1], folder, tmp_path / "b")
    assert average_models(["-models", *paths, "-output_model", averaged]) == 0
    weights = [load_checkpoint(Path(path))["weights"] for path in (*paths, averaged)]
    for name in weights[0]:
        torch.testing.assert_close(weights[2][name], (weights[0][name] + weights[1][name]) / 2)
    assert len(translation(averaged, folder, tmp_path / "c")) == len(SENTENCES) + 1


def test_a_model_is_described(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_model(["-model", model(folder, 2)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "  model = AttentionSeq2Seq",
        "  policies.schedule = step",
        "  encoder.stack.cell.kind = gru_reset_before",
        "  optimiser: adam",
        "  decoder.mix_weight: 16 x 40",
    ):
        assert line in lines
    assert any(line.startswith('  model_params = {"attention.params"') for line in lines)


def test_word_vectors_can_be_taken_out(folder: Path, tmp_path: Path) -> None:
    argv = ["-model", model(folder, 2), "-output_dir", str(tmp_path)]
    assert extract_embeddings(argv) == 0
    assert len(list(tmp_path.iterdir())) == 2
