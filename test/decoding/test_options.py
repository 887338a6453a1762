import pytest

from onmt.commandline.parser import parse
from onmt.commandline.schema import flags_of
from onmt.commands.pipeline import lm, tag, translate
from onmt.errors import OptionError
from onmt.google.options import GoogleInferenceOptions


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m.pt", "src", "tgt", "table"):
        (tmp_path / name).write_text("x\n")


GIVEN = ["-model", "m.pt", "-src", "src"]
SAMPLING = ["-top_p", "0.9", "-beam_size", "1"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-n_best", "6"], "-n_best 6: the beam has only 5"),
        (["-ignore_when_blocking", "."], "-ignore_when_blocking needs -block_ngram_repeat"),
        (["-random_sampling_temp", "0.5"], "-random_sampling_temp needs -random_sampling_topk"),
        (["-min_length", "9", "-max_sent_length", "8"], "-min_length 9 is larger than -max_sent_length 8"),
        (["-ban_unk", "-replace_unk"], "-ban_unk leaves no `<unk>` for -replace_unk"),
        (["-ban_unk", "-max_num_unks", "2"], "-ban_unk leaves no `<unk>`"),
        (["-min_length", "-1"], "must be at least 0"),
        (["-top_p", "1.1"], "must be between 0 and 1"),
        (["-random_sampling_topk", "-2"], "must be at least -1"),
        (["-random_sampling_topk", "-1"], "-top_p need -beam_size 1, not 5"),
        (["-top_p", "0.9", "-n_best", "7"], "-top_p need -beam_size 1, not 5"),
        ([*SAMPLING, "-max_num_unks", "2"], "-max_num_unks needs beam search"),
        ([*SAMPLING, "-pre_filter_factor", "2"], "-pre_filter_factor needs beam search"),
        ([*SAMPLING, "-eos_norm", "2"], "-eos_norm needs beam search"),
        ([*SAMPLING, "-placeholder_constraints"], "-placeholder_constraints needs beam search"),
        ([*SAMPLING, "-lexical_constraints", "-phrase_table", "table"], "-lexical_constraints needs beam"),
        (["-ensemble", "median"], "'median' is not in accepted values"),
        (["-max_num_unks", "1.5"], "-max_num_unks: it must be an integer"),
        (["-lexical_constraints"], "-lexical_constraints needs -phrase_table"),
        (["-limit_lexical_constraints", "-phrase_table", "table"], "needs -lexical_constraints"),
        (["-output", "src"], "'src' is read by this run"),
        (["-output", "out", "-save_attention", "out"], "'out' cannot be the file of two results"),
        (["-phrase_table", "table", "-save_beam_to", "./table"], "'./table' is read by this run"),
        (["-tgt", "tgt", "-dump_input_encoding"], "-dump_input_encoding scores nothing"),
        (["-plot_attention", "p", "-dump_input_encoding"], "has no attention to draw"),
        (["-plot_attention", "-"], "name a folder"),
        (["-plot_attention", "p", "-save_attention", "p"], "cannot be the file of two results"),
        (["-save_beam_to", "a.npz", "-save_attention", "a.npz"], "cannot be the file of two results"),
    ],
)
def test_what_does_not_go_together_is_refused(argv, message, files):
    with pytest.raises(OptionError, match=message):
        parse(translate.script, [*GIVEN, *argv])


def test_both_sides_cannot_be_standard_input(files):
    for script in (translate.script, tag.script):
        with pytest.raises(OptionError, match="be standard input"):
            parse(script, ["-model", "m.pt", "-src", "-", "-tgt", "-"])


def test_results_must_not_overwrite_what_is_read(files):
    for script, mode in ((tag.script, []), (lm.script, ["score"])):
        with pytest.raises(OptionError, match="would destroy it"):
            parse(script, [*mode, *GIVEN, "-output", "m.pt"])


def test_the_log_leaves_standard_output_to_data(files):
    for argv in (["-output", "-"], ["-save_attention", "-"], ["-save_beam_to", "-"]):
        assert translate.script.data_on_stdout(parse(translate.script, [*GIVEN, *argv]).options)
    assert not translate.script.data_on_stdout(parse(translate.script, GIVEN).options)


def test_an_ensemble_has_no_encoding_to_write(files):
    argv = ["-model", "m.pt", "m.pt", "-src", "src", "-dump_input_encoding"]
    with pytest.raises(OptionError, match="-dump_input_encoding is for one -model"):
        parse(translate.script, argv)


def test_no_model_of_an_ensemble_is_written_over(files):
    with pytest.raises(OptionError, match="'tgt' is read by this run"):
        parse(translate.script, ["-model", "m.pt", "tgt", "-src", "src", "-output", "tgt"])


def test_samples_may_be_more_than_the_beam(files):
    assert parse(translate.script, [*GIVEN, *SAMPLING, "-n_best", "7"]).options.n_best == 7


@pytest.mark.usefixtures("files")
def test_a_saved_configuration_has_no_flags_of_the_other_dialect(tmp_path):
    parse(translate.script, [*GIVEN, "-save_config", "first"])
    text = (tmp_path / "first").read_text()
    assert not [flag for flag in flags_of(GoogleInferenceOptions) if f"\n{flag} = " in text]
    parse(translate.script, ["-config", "first", "-save_config", "second"])
    assert (tmp_path / "second").read_text() == text
