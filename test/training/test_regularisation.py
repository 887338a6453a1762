"""Label smoothing, weight decay, moving average, warm-up and shared tables through train.py."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import translate
from onmt.training.recipe import _InverseRootSchedule

RunTrain = Callable[..., tuple[int, str, str]]
ALL = (
    "-rnn_size 8 -word_vec_size 8 -layers 1 -max_batch_size 10 -optim adam -learning_rate 0.02 "
    "-label_smoothing 0.1 -weight_decay 0.01 -average_decay 0.05 -warmup_steps 20 -share_decoder_embeddings"
).split()


def content_of(folder: Path, name: str, epoch: int) -> dict[str, torch.Tensor]:
    (path,) = folder.glob(f"{name}_epoch{epoch}_*.pt")
    return load_checkpoint(path)


def test_the_schedule() -> None:
    schedule = _InverseRootSchedule(0.5, 4)
    rates = [schedule.after(steps) for steps in range(9)]
    assert rates == pytest.approx([0.125, 0.25, 0.375, 0.5, *(0.5 * math.sqrt(4 / t) for t in range(5, 10))])


def test_a_continued_run_equals_an_uninterrupted_one(run_train: RunTrain, tmp_path: Path) -> None:
    whole = ["-save_model", str(tmp_path / "whole"), *ALL, "-end_epoch", "3"]
    assert run_train(*whole)[0] == 0
    assert run_train("-save_model", str(tmp_path / "part"), *ALL, "-end_epoch", "1")[0] == 0
    (first,) = tmp_path.glob("part_epoch1_*.pt")
    again = ["-train_from", str(first), "-continue", "-end_epoch", "3", "-max_batch_size", "10"]
    code, log, _ = run_train("-save_model", str(tmp_path / "part"), *again)
    assert code == 0
    assert "WARNING" not in log
    expected, found = content_of(tmp_path, "whole", 3), content_of(tmp_path, "part", 3)
    for kind in ("weights", "trained_weights"):
        left = expected["training"][kind] if kind != "weights" else expected[kind]
        right = found["training"][kind] if kind != "weights" else found[kind]
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert not torch.equal(*(part["decoder.embeddings.words"] for part in (left, expected["weights"])))


def test_the_output_layer_shares_its_table(run_train: RunTrain, tmp_path: Path) -> None:
    assert run_train(*ALL, "-end_epoch", "1")[0] == 0
    content = content_of(tmp_path, "m", 1)
    assert content["spec"]["decoder"]["ties_output"]
    assert "generator.weights.0" not in content["weights"]
    assert not content["weights"]["decoder.embeddings.words"][0].any()  # padding
    (tmp_path / "in").write_text("a b c\nd e\n", encoding="utf-8")
    (model,) = tmp_path.glob("m_epoch1_*.pt")
    argv = ["-model", str(model), "-src", str(tmp_path / "in"), "-output", str(tmp_path / "out")]
    assert translate(argv) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8").count("\n") == 2


def test_one_table_for_both_sides(run_train: RunTrain, tiny_files: list[str], tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("".join(f"{letter}\n" for letter in "abcdefgh"), encoding="utf-8")
    shared = [*tiny_files, *ALL, "-share_embeddings", "-end_epoch", "1"]
    code, _, errors = run_train(*shared, "-save_model", str(tmp_path / "other"))
    assert code == 2
    assert errors.count("\n") == 1
    assert run_train(*shared, "-src_vocab", str(words), "-tgt_vocab", str(words))[0] == 0
    content = content_of(tmp_path, "m", 1)
    tables = [name for name, weight in content["weights"].items() if weight.shape == (12, 8)]
    assert tables == ["source.words"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["-share_decoder_embeddings"], "as wide as the decoder's output, not 6 and 8"),
        (["-share_embeddings", "-fix_word_vecs_dec"], "-share_embeddings needs equal tables"),
        (["-label_smoothing", "1.5"], "-label_smoothing"),
        (["-weight_decay", "-1"], "-weight_decay"),
        (["-average_decay", "2"], "-average_decay"),
        (["-warmup_steps", "-1"], "-warmup_steps"),
    ],
)
def test_what_does_not_fit_is_refused(flags: list[str], complaint: str, run_train: RunTrain) -> None:
    code, _, errors = run_train(*flags)
    assert code == 2
    assert complaint in errors
    assert errors.count("\n") == 1


def test_label_smoothing_leaves_the_reported_loss_comparable(run_train: RunTrain) -> None:
    """With negligible updates, the first report is the same with and without smoothing."""
    still = ["-learning_rate", "1e-30", "-end_epoch", "1", "-dropout", "0"]
    logs = [run_train(*still, *more)[1] for more in ([], ["-label_smoothing", "0.3"])]
    perplexities = [log.rpartition("Validation perplexity: ")[2].split("\n")[0] for log in logs]
    reported = [log.partition("Perplexity ")[2].split("\n")[0] for log in logs]
    assert perplexities[0] == perplexities[1]
    assert reported[0] == reported[1]


def test_google_models_take_them_too(run_train: RunTrain, tmp_path: Path) -> None:
    params = (
        "{embedding.dim: 8, encoder.params: {rnn_cell: {cell_params: {num_units: 8}}}, "
        "decoder.params: {rnn_cell: {cell_params: {num_units: 8}}}, attention.params: {num_units: 8}}"
    )
    given = ["-train_from", "", "-train_steps", "3", "-warmup_steps", "2", "-model", "AttentionSeq2Seq"]
    more = ["-label_smoothing", "0.1", "-share_decoder_embeddings", "-average_decay", "0.1"]
    more += "-weight_decay 0.01 -accum_count 2 -early_stopping 2 -keep_best 1 -keep_checkpoints 1".split()
    code, _, errors = run_train(*given, "-model_params", params, *more)
    assert code == 0, errors
    (path,) = tmp_path.glob("m_epoch*.pt")
    assert load_checkpoint(path)["spec"]["decoder"]["ties_output"]
    assert (tmp_path / "m_best.pt").is_file()
    assert '"kind": "validation"' in (tmp_path / "m_metrics.jsonl").read_text(encoding="utf-8")
    decaying = params[:-1] + ", optimizer.lr_decay_type: exponential_decay}"
    code, _, errors = run_train(*given, "-model_params", decaying)
    assert code == 2
    assert "-warmup_steps and optimizer.lr_decay_type" in errors


def test_features_share_their_tables_too(run_train: RunTrain, tmp_path: Path) -> None:
    """Labels of both sides must be equal; equal numbers of labels are not enough."""
    for name, text in (("src", "a￨F b￨G\n"), ("tgt", "b￨F a￨G\n"), ("other", "b￨P a￨Q\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = tmp_path / "words"
    words.write_text("a\nb\n", encoding="utf-8")
    vocabularies = ["-src_vocab", str(words), "-tgt_vocab", str(words)]
    sizes = ["-rnn_size", "8", "-layers", "1", "-word_vec_size", "8", "-end_epoch", "1", "-share_embeddings"]
    for target, expected in (("tgt", 0), ("other", 2)):
        files = ["-train_src", str(tmp_path / "src"), "-train_tgt", str(tmp_path / target)]
        code, _, errors = run_train(*files, *vocabularies, *sizes)
        assert code == expected
        assert ("the target's has 'P'" in errors) == (expected == 2)


def test_one_table_starts_from_one_file(run_train: RunTrain, tiny_files: list[str], tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("".join(f"{letter}\n" for letter in "abcdefgh"), encoding="utf-8")
    for name in ("one.pt", "other.pt"):
        torch.save(torch.full((12, 8), 0.25), tmp_path / name)
    argv = [*tiny_files, *ALL, "-share_embeddings", "-src_vocab", str(words), "-tgt_vocab", str(words)]
    enc, dec = ["-pre_word_vecs_enc", str(tmp_path / "one.pt")], ["-pre_word_vecs_dec"]
    for flags in (enc, [*enc, *dec, str(tmp_path / "other.pt")]):
        code, _, errors = run_train(*argv, *flags, "-end_epoch", "1")
        assert code == 2
        assert "-pre_word_vecs_" in errors
        assert errors.count("\n") == 1
    fixed = ["-fix_word_vecs_enc", "-fix_word_vecs_dec"]
    assert run_train(*argv, *enc, *dec, str(tmp_path / "one.pt"), *fixed, "-end_epoch", "1")[0] == 0
    table = content_of(tmp_path, "m", 1)["weights"]["source.words"]
    assert torch.equal(table[1:], torch.full((11, 8), 0.25))


def test_a_shared_table_takes_new_words_up(
    run_train: RunTrain, tiny_files: list[str], tmp_path: Path
) -> None:
    words, more = tmp_path / "words", tmp_path / "more"
    words.write_text("".join(f"{letter}\n" for letter in "abcdefgh"), encoding="utf-8")
    more.write_text("".join(f"{letter}\n" for letter in "xabcdefgh"), encoding="utf-8")
    shared = [*ALL, "-share_embeddings", "-src_vocab", str(words), "-tgt_vocab", str(words)]
    assert run_train(*tiny_files, *shared, "-end_epoch", "1")[0] == 0
    (first,) = tmp_path.glob("m_epoch1_*.pt")
    again = ["-train_from", str(first), "-update_vocab", "merge", "-learning_rate", "1e-30"]
    vocabularies = ["-src_vocab", str(more), "-tgt_vocab", str(more), "-save_model", str(tmp_path / "n")]
    assert run_train(*tiny_files, *again, *vocabularies, "-end_epoch", "1")[0] == 0
    old, new = (content_of(tmp_path, name, 1)["weights"]["source.words"] for name in ("m", "n"))
    assert torch.equal(new[5:], old[4:])
    assert new[4].abs().max() < 1e-20
