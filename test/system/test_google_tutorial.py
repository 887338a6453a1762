"""The command lines of google/seq2seq's tutorial work with only the names of the programs replaced."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import train, translate
from onmt.commands.score import score

SMALL = """
model: AttentionSeq2Seq
model_params: &params
  attention.class: seq2seq.decoders.attention.AttentionLayerBahdanau
  attention.params: {num_units: 16}
  embedding.dim: &units 16
  encoder.class: seq2seq.encoders.BidirectionalRNNEncoder
  encoder.params:
    rnn_cell: &cell
      cell_class: GRUCell
      cell_params: {num_units: *units}
  decoder.class: seq2seq.decoders.AttentionDecoder
  decoder.params: {rnn_cell: *cell}
  optimizer.name: Adam
  optimizer.learning_rate: 0.005
  optimizer.lr_stop_decay_at: 1e9
  source.reverse: false
"""
TRAIN = """
buckets: 10,20,30,40
hooks:
  - class: PrintModelAnalysisHook
  - class: MetadataCaptureHook
  - class: SyncReplicasOptimizerHook
  - class: TrainSampleHook
    params: {every_n_steps: 1000}
"""
METRICS = """
metrics:
  - class: LogPerplexityMetricSpec
"""


@pytest.fixture
def tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with texts, vocabularies and configuration files."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(5)
    for split, count in (("train", 400), ("dev", 40)):
        sources = [" ".join(draw.choices("abcdef", k=draw.randint(2, 5))) for _ in range(count)]
        (tmp_path / f"{split}.sources").write_text("\n".join(sources) + "\n")
        (tmp_path / f"{split}.targets").write_text(
            "\n".join(" ".join(s.split()[::-1]) for s in sources) + "\n"
        )
    for name in ("vocab_source", "vocab_target"):
        (tmp_path / name).write_text("".join(f"{letter}\t9\n" for letter in "abcdef"))
    (tmp_path / "example_configs").mkdir()
    for name, text in (("nmt_small", SMALL), ("train_seq2seq", TRAIN), ("text_metrics_bpe", METRICS)):
        (tmp_path / "example_configs" / f"{name}.yml").write_text(text)
    return tmp_path


def train_command(steps: int, **more: str) -> list[str]:
    return [
        "--config_paths=\n      ./example_configs/nmt_small.yml,\n      ./example_configs/train_seq2seq.yml,"
        "\n      ./example_configs/text_metrics_bpe.yml",
        "--model_params",
        "\n      vocab_source: vocab_source\n      vocab_target: vocab_target" + more.pop("params", ""),
        "--input_pipeline_train",
        "\n    class: ParallelTextInputPipeline\n    params:\n      source_files:\n        - train.sources"
        "\n      target_files:\n        - train.targets",
        "--input_pipeline_dev",
        "\n    class: ParallelTextInputPipeline\n    params:\n       source_files:\n        - dev.sources"
        "\n       target_files:\n        - dev.targets",
        "--batch_size=32",
        f"--train_steps={steps}",
        "--eval_every_n_steps=200",
        "--output_dir=model_dir",
    ]


def with_files_before(stem: str, argv: list[str]) -> list[str]:
    """Insert the files of another stem into the command, before those of the training data."""
    for side in ("sources", "targets"):
        argv = [part.replace(f"- train.{side}", f"- {stem}.{side}\n        - train.{side}") for part in argv]
    return argv


INFER = [
    "--model_dir=model_dir",
    "--input_pipeline",
    "\n    class: ParallelTextInputPipeline\n    params:\n      source_files:\n        - dev.sources",
]


def infer(capfd: pytest.CaptureFixture[str], tasks: str, *more: str) -> list[str]:
    capfd.readouterr()
    assert translate(["--tasks", tasks, *INFER, *more]) == 0
    return capfd.readouterr().out.splitlines()


def test_the_tutorial(
    tutorial: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(train_command(200)) == 0
    first = capfd.readouterr()
    assert "TrainSampleHook (use -save_validation_translation_every)" in first.err
    assert train(train_command(400)) == 0
    second = capfd.readouterr().out
    assert "'model_dir' holds a training of this model, which goes on" in second
    assert "Resuming training from epoch 2" in second
    (last,) = (tutorial / "model_dir").glob("model_epoch2_*.pt")
    assert load_checkpoint(last)["training"]["optimizer"]["steps"] == 400

    assert train(train_command(400)) == 0  # finished: nothing is overwritten
    assert "Nothing to train" in capfd.readouterr().out
    assert train(train_command(500, params="\n      embedding.dim: 8")) == 2
    assert "holds the training of another model: embedding.dim differ" in capfd.readouterr().err

    greedy = infer(capfd, "\n    - class: DecodeText")
    wanted = (tutorial / "dev.targets").read_text().splitlines()
    assert len(greedy) == len(wanted)
    assert sum(a == b for a, b in zip(greedy, wanted, strict=True)) > 30
    beam = infer(
        capfd,
        "\n    - class: DecodeText\n    - class: DumpBeams\n      params:\n        file: beams.npz",
        "--model_params",
        "\n    inference.beam_search.beam_width: 5",
    )
    assert len(beam) == len(wanted)
    with np.load(tutorial / "beams.npz") as beams:
        assert any(name.startswith("scores") for name in beams.files)

    (tutorial / "pred.txt").write_text("\n".join(beam) + "\n")
    with (tutorial / "pred.txt").open() as predictions:
        monkeypatch.setattr("sys.stdin", predictions)
        assert score(["dev.targets"]) == 0
    assert "BLEU = " in capfd.readouterr().out


def test_unknown_words_and_attention(tutorial: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(train_command(20)) == 0
    (tutorial / "dev.sources").write_text("a b z\nz\n")
    unk = "\n    - class: DecodeText\n      params:\n        unk_replace: True"
    attention = (
        "\n    - class: DumpAttention\n      params:\n        output_dir: att\n        dump_plots: False"
    )
    assert len(infer(capfd, unk + attention)) == 2
    with np.load(tutorial / "att" / "attention_scores.npz") as arrays:
        assert len(arrays.files) >= 2
    (tutorial / "att" / "attention_scores.npz").unlink()
    assert "z" not in infer(capfd, attention)  # no translations, only the log
    assert (tutorial / "att" / "attention_scores.npz").exists()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--tasks=[{class: DecodeText, params: {delimiter: ''}}]"], "words are joined by blanks"),
        (
            ["--tasks=[{class: DecodeText, params: {postproc_fn: seq2seq.data.postproc.strip_bpe}}]"],
            "sed 's/@@",
        ),
        (["--tasks=[{class: DumpBeams}]"], "needs a `file`"),
        (["--tasks=[{class: DecodeTxt}]"], "DecodeTxt"),
        (["--tasks=3"], "-tasks must be a list"),
        (["--model_params=embedding.dim: 3"], "embedding.dim cannot be changed for a translation"),
        (["--model_dir=nowhere"], "there is no model in this folder"),
        (["--input_pipeline={class: TFRecordInputPipeline}"], "give the sources as -src"),
        (["-src", "dev.sources"], "-src beside -input_pipeline"),
    ],
)
def test_what_infer_refuses(
    flags: list[str], complaint: str, tutorial: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = flags[0].partition("=")[0]
    rest = [*INFER] if "input_pipeline" not in name else INFER[:1]
    rest = [part for part in rest if not part.startswith(f"{name}=")]
    (tutorial / "model_dir").mkdir()
    (tutorial / "model_dir" / "model_checkpoint.pt").write_bytes(b"")
    assert translate([*rest, *flags]) == 2
    errors = capfd.readouterr().err
    assert complaint in errors
    assert errors.count("\n") == 1


def test_a_folder_says_where_models_are(tutorial: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train([*train_command(10), "-save_model", "x"]) == 2
    assert "leave -save_model out" in capfd.readouterr().err
    assert not (tutorial / "x_checkpoint.pt").exists()


def test_small_files_stay_small(tutorial: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    (tutorial / "bomb.yml").write_text(bomb)
    assert train(["-config_paths", "bomb.yml", "-save_model", "m"]) == 2
    errors = capfd.readouterr().err
    assert "its aliases expand to more than 10000 values" in errors
    assert errors.count("\n") == 1


def test_several_files_are_joined(tutorial: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tutorial / "more.sources").write_text("a b c")  # without a final line break
    (tutorial / "more.targets").write_text("c b a")
    assert train(with_files_before("more", train_command(5))) == 0
    joined = (tutorial / "model_dir" / "model_train.src.txt").read_text().splitlines()
    assert joined == ["a b c", *(tutorial / "train.sources").read_text().splitlines()]
    assert "401 total" in capfd.readouterr().out


def test_a_refused_command_leaves_nothing_behind(tutorial: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(tutorial.iterdir())
    assert train([*with_files_before("train", train_command(5)), "--model", "AttentionSeq2Sec"]) == 2
    assert "did you mean AttentionSeq2Seq" in capfd.readouterr().err
    assert sorted(tutorial.iterdir()) == before


def test_word_vectors_and_scheduled_sampling_go_with_a_model(
    tutorial: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    vectors = torch.full((10, 16), 0.25)  # six letters and the special words
    torch.save(vectors, tutorial / "vectors.pt")
    more = ["-pre_word_vecs_enc", "vectors.pt", "-fix_word_vecs_enc", "-scheduled_sampling", "0.5"]
    assert train([*train_command(5), *more]) == 0
    (path,) = (tutorial / "model_dir").glob("model_epoch1_*.pt")
    content = load_checkpoint(path)
    assert torch.equal(content["weights"]["source.words"][1:], vectors[1:])
    assert content["options"]["scheduled_sampling"] == 0.5
    assert "Set Scheduled Sampling rate: 0.500" in capfd.readouterr().out


def test_a_saved_configuration_repeats_the_training(
    tutorial: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train([*train_command(5), "-save_config", "saved"]) == 0
    saved = (tutorial / "saved").read_text()
    assert "output_dir" not in saved
    assert "input_pipeline" not in saved
    assert train(["-config", "saved", "-save_model", "again"]) == 0
    left, right = (
        load_checkpoint(next(folder.glob(pattern)))["weights"]
        for folder, pattern in ((tutorial / "model_dir", "model_epoch1_*"), (tutorial, "again_epoch1_*"))
    )
    assert all(torch.equal(left[name], right[name]) for name in left)
