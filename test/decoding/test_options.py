import pytest

from onmt.commandline.parser import parse
from onmt.commands.lm import SCRIPT as LM
from onmt.commands.tag import SCRIPT as TAG
from onmt.commands.translate import SCRIPT as TRANSLATE
from onmt.errors import OptionError


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m.pt", "src", "tgt", "table"):
        (tmp_path / name).write_text("x\n")


GIVEN = ["-model", "m.pt", "-src", "src"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-n_best", "6"], "-n_best 6: the beam has only 5"),
        (["-max_num_unks", "1.5"], "-max_num_unks: it must be an integer"),
        (["-lexical_constraints"], "-lexical_constraints needs -phrase_table"),
        (["-limit_lexical_constraints", "-phrase_table", "table"], "needs -lexical_constraints"),
        (["-output", "src"], "'src' is read by this run"),
        (["-output", "out", "-save_attention", "out"], "'out' cannot be the file of two results"),
        (["-phrase_table", "table", "-save_beam_to", "./table"], "'./table' is read by this run"),
        (["-tgt", "tgt", "-dump_input_encoding"], "-dump_input_encoding scores nothing"),
        (["-plot_attention", "p", "-dump_input_encoding"], "has no attention to draw"),
        (["-plot_attention", "-"], "name a folder"),
        (["-save_beam_to", "a.npz", "-save_attention", "a.npz"], "cannot be the file of two results"),
    ],
)
def test_what_does_not_go_together_is_refused(argv, message, files):
    with pytest.raises(OptionError, match=message):
        parse(TRANSLATE, [*GIVEN, *argv])


def test_both_sides_cannot_be_standard_input(files):
    for script in (TRANSLATE, TAG):
        with pytest.raises(OptionError, match="be standard input"):
            parse(script, ["-model", "m.pt", "-src", "-", "-tgt", "-"])


def test_results_must_not_overwrite_what_is_read(files):
    for script, mode in ((TAG, []), (LM, ["score"])):
        with pytest.raises(OptionError, match="would destroy it"):
            parse(script, [*mode, *GIVEN, "-output", "m.pt"])


def test_the_log_leaves_standard_output_to_data(files):
    for argv in (["-output", "-"], ["-save_attention", "-"], ["-save_beam_to", "-"]):
        assert TRANSLATE.data_on_stdout(parse(TRANSLATE, [*GIVEN, *argv]).options)
    assert not TRANSLATE.data_on_stdout(parse(TRANSLATE, GIVEN).options)
