"""The model structure that Lua's flags describe."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from onmt.commandline.values import check_options
from onmt.commands.pipeline import train
from onmt.errors import OptionError
from onmt.models.lua import DataSizes, restructured, spec_from_options, structure_notes
from onmt.models.options import LanguageModelOptions, ModelOptions, Seq2SeqModelOptions, TaggerOptions
from onmt.spec.layers import ConvolutionalEncoderSpec, PyramidalEncoderSpec, RecurrentEncoderSpec
from onmt.spec.model import EmbeddingSpec

SIZES = DataSizes((1000, 100, 7), (900, 30))


def command_line(options: ModelOptions, data: Path) -> list[str]:
    """Return the command line of train.py for these options."""
    words = ["-data", str(data), "-save_model", "never", "-model_type", model_type_of(options)]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value != field.default:
            items = value if isinstance(value, tuple) else (value,)
            words += [f"-{field.name}", *(str(item) for item in items)]
    return words


def model_type_of(options: ModelOptions) -> str:
    names: dict[type, str] = {LanguageModelOptions: "lm", TaggerOptions: "seqtagger"}
    return names.get(type(options), "seq2seq")


def test_feature_widths() -> None:
    by_exponent = spec_from_options(Seq2SeqModelOptions(), SIZES).source
    given = spec_from_options(Seq2SeqModelOptions(src_word_vec_size=(8, 3)), SIZES).source
    added = spec_from_options(Seq2SeqModelOptions(feat_merge="sum", word_vec_size=6), SIZES).source
    assert isinstance(by_exponent, EmbeddingSpec)
    assert isinstance(given, EmbeddingSpec)
    assert isinstance(added, EmbeddingSpec)
    assert [table.dim for table in by_exponent.tables] == [500, 25, 3]
    assert [table.dim for table in given.tables] == [8, 3, 3]
    assert [table.dim for table in added.tables] == [6, 20, 20]
    assert added.output_size == 26


def test_encoders() -> None:
    gnmt = spec_from_options(Seq2SeqModelOptions(encoder_type="gnmt"), SIZES).encoder
    dbrnn = spec_from_options(Seq2SeqModelOptions(encoder_type="dbrnn", residual=True), SIZES).encoder
    cnn = spec_from_options(
        Seq2SeqModelOptions(encoder_type="cnn", bridge="none", use_pos_emb=False), SIZES
    ).encoder
    assert isinstance(gnmt, RecurrentEncoderSpec)
    assert gnmt.merge == "concat"
    assert isinstance(dbrnn, PyramidalEncoderSpec)
    assert (dbrnn.reduction, dbrnn.stack.residual) == (1, "none")
    assert isinstance(cnn, ConvolutionalEncoderSpec)
    assert cnn.positions == 0


REFUSED: list[tuple[ModelOptions, str]] = [
    (Seq2SeqModelOptions(encoder_type="cnn"), "-bridge dense"),
    (Seq2SeqModelOptions(encoder_type="cnn", bridge="none", cnn_size=100), "-cnn_size"),
    (Seq2SeqModelOptions(encoder_type="cnn", bridge="none", cnn_layers=0), "-cnn_layers"),
    (Seq2SeqModelOptions(encoder_type="gnmt", layers=1), "at least 2 layers"),
    (Seq2SeqModelOptions(encoder_type="gnmt", rnn_size=7), "odd"),
    (Seq2SeqModelOptions(encoder_type="brnn", brnn_merge="concat", rnn_size=7), "odd"),
    (Seq2SeqModelOptions(enc_layers=1), "-bridge copy"),
    (Seq2SeqModelOptions(layers=0), "-layers"),
    (Seq2SeqModelOptions(src_word_vec_size=(0,)), "-src_word_vec_size"),
    (LanguageModelOptions(encoder_type="brnn"), "-encoder_type rnn"),
    (LanguageModelOptions(encoder_type="cnn"), "-encoder_type rnn"),
    (LanguageModelOptions(word_vec_size=(0,)), "-word_vec_size"),
    (TaggerOptions(encoder_type="pdbrnn"), "-pdbrnn_reduction"),
    (TaggerOptions(encoder_type="gnmt", layers=1), "at least 2 layers"),
    (TaggerOptions(layers=0), "-layers"),
    (LanguageModelOptions(layers=0), "-layers"),
    (TaggerOptions(word_vec_size=(0,)), "-word_vec_size"),
    (Seq2SeqModelOptions(encoder_type="cnn", bridge="none", max_pos=0), "-use_pos_emb 0"),
]


@pytest.mark.parametrize(("options", "told"), REFUSED)
def test_what_cannot_work_is_refused(options: ModelOptions, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        check_options(options)


@pytest.mark.parametrize(("options", "told"), REFUSED)
def test_train_says_in_one_line_what_cannot_work(
    options: ModelOptions, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "refused-before-it-is-read-train.json"
    data.touch()
    assert train(command_line(options, data)) == 2
    output, complaint = capsys.readouterr()
    assert output == ""
    assert complaint.count("\n") == 1
    assert complaint.startswith("train.py: ")
    assert told in complaint


@pytest.mark.parametrize(
    "options",
    [
        Seq2SeqModelOptions(encoder_type="brnn", rnn_size=7),
        Seq2SeqModelOptions(enc_layers=1, bridge="dense"),
        TaggerOptions(encoder_type="pdbrnn", pdbrnn_reduction=1),
        TaggerOptions(encoder_type="pdbrnn", layers=1),
    ],
)
def test_what_can_work_is_accepted(options: ModelOptions) -> None:
    check_options(options)


@pytest.mark.parametrize(
    ("options", "sizes", "told"),
    [
        (Seq2SeqModelOptions(dropout_words=0.1), DataSizes((), (9,), 3), "-dropout_words"),
        (TaggerOptions(loglikelihood="sentence"), DataSizes((9,), (9, 5)), "-loglikelihood"),
        (Seq2SeqModelOptions(feat_merge="sum", feat_vec_size=0), SIZES, "-feat_vec_size"),
        (Seq2SeqModelOptions(feat_merge="sum", src_word_vec_size=(8, 3, 2)), SIZES, "-feat_merge sum"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(options: Any, sizes: DataSizes, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        spec_from_options(options, sizes)


def test_a_restart_changes_dropout_and_frozen_vectors_only() -> None:
    spec = spec_from_options(Seq2SeqModelOptions(), SIZES)
    changed = restructured(spec, Seq2SeqModelOptions(dropout=0.1, layers=7, fix_word_vecs_enc=True))
    assert changed == spec_from_options(Seq2SeqModelOptions(dropout=0.1, fix_word_vecs_enc=True), SIZES)


def test_flags_without_use_are_noted() -> None:
    assert structure_notes(Seq2SeqModelOptions()) == []
    assert "-residual" in structure_notes(Seq2SeqModelOptions(encoder_type="dbrnn", residual=True))[0]
