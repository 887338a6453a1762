import math
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.commandline.parser import parse
from onmt.commandline.script import HelpRequested

SAVE = ["-save_data", "demo"]


def test_defaults_and_what_was_given(script):
    parsed = parse(script, ["-save_data", "demo", "-tok_src_mode", "conservative"])
    assert parsed.options.save_data == "demo"
    assert parsed.options.sizes == (50000,)
    assert parsed.options.tok_src.mode == "conservative"
    assert parsed.options.tok_tgt.mode == "space"
    assert parsed.given == {"save_data", "tok_src_mode"}


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-threshold", "-1.5"], "threshold", -1.5),
        (["-threshold", "-1e-3"], "threshold", -0.001),
        (["-threshold", "-.5"], "threshold", -0.5),
        (["-threshold", "3"], "threshold", 3.0),
        (["--layers", "0x10"], "layers", 16),
        (["-layers", "1e1"], "layers", 10),
        (["-layers", "3.0"], "layers", 3),
        (["-layers", "9007199254740993"], "layers", 2**53 + 1),
        (["-limit", "inf"], "limit", math.inf),
        (["-sizes", "500", "20"], "sizes", (500, 20)),
        (["-sizes", "500,20"], "sizes", (500, 20)),
        (["-sizes", "500,", "20,3"], "sizes", (500, 20, 3)),
        (["-words", "a", "b,c", "-"], "words", ("a", "b", "c", "-")),
        (["-words", ""], "words", ()),
        (["-sort"], "sort", False),
        (["-sort", "1"], "sort", True),
        (["-dry_run"], "dry_run", True),
        (["-dry_run", "false"], "dry_run", False),
        (["-fix"], "fix", True),
        (["-fix", "pretrained"], "fix", "pretrained"),
        (["-fix", "0"], "fix", False),
        (["-continue"], "continue_", True),
        (["-train_src", "-"], "train_src", "-"),
        (["-train_src", ""], "train_src", ""),
        (["-train_src", "a=b, c"], "train_src", "a=b, c"),
        (["-load", "-"], "load", "-"),
    ],
)
def test_values(script, words, name, value, options):
    got = getattr(options(script, *words), name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-foo"], "unknown option -foo"),
        (["-lay", "3"], "unknown option -lay; did you mean -layers?"),
        (["-save_dat", "x"], "unknown option -save_dat; did you mean -save_data?"),
        (["-hx"], "unknown option -hx"),
        (["-train", "x"], "unknown option -train; it exists with -data_type monotext"),
        (
            ["-data_type", "monotext", "-tok_src_mode", "space"],
            "unknown option -tok_src_mode; it exists with -data_type bitext",
        ),
        (["-layers", "3", "--layers", "3"], "duplicate command line option: -layers"),
        (["-layers"], "missing argument(s) for option -layers"),
        (["-layers", "-sort"], "missing argument(s) for option -layers"),
        (["-sizes"], "missing argument(s) for option -sizes"),
        (["-layers", "two"], "invalid type for option -layers (should be an integer, not 'two')"),
        (["-layers", "1.5"], "invalid type for option -layers (should be an integer, not '1.5')"),
        (["-layers", "inf"], "invalid type for option -layers (should be an integer, not 'inf')"),
        (["-layers", "1_0"], "invalid type for option -layers (should be an integer, not '1_0')"),
        (["-layers", ""], "invalid type for option -layers (should be an integer, not '')"),
        (["-layers", "9" * 30], "invalid argument for option -layers: the integer is too large"),
        (["-layers", "1e300"], "invalid argument for option -layers: the integer is too large"),
        (["-layers", "1e9999"], "invalid type for option -layers (should be an integer, not '1e9999')"),
        (
            ["-layers", "1" * 5000],
            f"invalid type for option -layers (should be an integer, not '{'1' * 5000}')",
        ),
        (["-threshold", "nan"], "invalid type for option -threshold (should be a number, not 'nan')"),
        (["-sizes", "1", "x"], "invalid type for option -sizes (should be an integer, not 'x')"),
        (["-layers", "0"], "invalid argument for option -layers: the integer must be at least 1"),
        (["-sizes", "1,-1"], "invalid argument for option -sizes: the integer must be at least 0"),
        (["-dropout", "1.1"], "invalid argument for option -dropout: the number must be between 0 and 1"),
        (
            ["-sort", "yes"],
            "invalid argument 'yes' for boolean option -sort (should be 0, 1, false or true)",
        ),
        (["-fix", "maybe"], "option -fix: 'maybe' is not in accepted values: true, false, pretrained"),
        (["-encoder", "cnn"], "option -encoder: 'cnn' is not in accepted values: rnn, brnn"),
        (
            ["-tok_src_alphabets", "Han", "Greek"],
            "option -tok_src_alphabets: 'Greek' is not in accepted values: Han, Latin",
        ),
        (["-layers", "3", "4"], "invalid argument: '4' (option -layers takes one value)"),
        (["-sort", "1", "extra"], "invalid argument: 'extra' (option -sort takes one value)"),
        (
            ["-load", "/no/such"],
            "invalid argument for option -load: the file must exist, but there is no '/no/such'",
        ),
        (
            ["-load", os.sep],
            f"invalid argument for option -load: it must be a file, but '{os.sep}' is a folder",
        ),
        (["-encoder", "brnn", "-layers", "5"], "-encoder brnn has 4 layers at most"),
    ],
)
def test_refusals(script, argv, message, refusal):
    assert refusal(script, [*SAVE, *argv]) == message


def test_words_before_the_first_flag_belong_to_nothing(script, refusal):
    assert refusal(script, ["loose", *SAVE]) == "invalid argument: 'loose'"


def test_a_word_with_an_unpaired_surrogate_or_zero_byte_is_refused(script, tmp_path, refusal):
    assert "not valid Unicode" in refusal(script, [*SAVE, "-train_src", "\ud800"])
    config = tmp_path / "zero.conf"
    config.write_text('train_src = "\\u0000"\n')
    assert "zero byte" in refusal(script, [*SAVE, "-config", str(config)])


def test_required_unless_dry(script, refusal):
    assert refusal(script, []) == "missing required option -save_data"
    assert refusal(script, ["-save_data", ""]) == "missing required option -save_data"
    assert parse(script, ["-dry_run"]).options.save_data == ""
    assert refusal(script, ["-dry_run", "0"]) == "missing required option -save_data"


def test_an_option_chooses_the_set(script, options):
    assert options(script, "-data_type", "monotext", "-train", "x", "-tok_mode", "space").train == "x"


def test_an_unknown_choice_is_refused_as_any_other_word(script, refusal):
    message = refusal(script, [*SAVE, "-data_type", "images"])
    assert message == "option -data_type: 'images' is not in accepted values: bitext, monotext"


class TestPositional:
    def test_anywhere(self, positional_script):
        for argv in (
            ["score"],
            ["score", "-quiet"],
            ["-quiet", "score"],  # Lua reads the positional argument as the boolean's value here
            ["-order", "2", "score"],
            ["-quiet", "true", "score"],
        ):
            assert parse(positional_script, argv).options.mode == "score"

    def test_refusals(self, positional_script, refusal):
        expected = {
            (): "not enough arguments: <mode> is missing (one of: score, sample)",
            ("-models", "a", "score"): "not enough arguments: <mode> is missing (one of: score, sample)",
            ("guess",): "option <mode>: 'guess' is not in accepted values: score, sample",
            ("score", "sample"): "invalid argument: 'sample'",
            ("score", "-quiet", "sample"): (
                "invalid argument 'sample' for boolean option -quiet (should be 0, 1, false or true)"
            ),
            ("-mode", "score"): "unknown option -mode: 'mode' is a positional argument, without a flag",
        }
        for argv, message in expected.items():
            assert refusal(positional_script, argv) == message

    def test_from_a_file(self, positional_script, tmp_path):
        config = tmp_path / "my.conf"
        config.write_text("mode = sample\norder = 2\n")
        parsed = parse(positional_script, ["-config", str(config)])
        assert (parsed.options.mode, parsed.options.order) == ("sample", 2)
        assert parse(positional_script, ["score", "-config", str(config)]).options.mode == "score"


class TestDeprecated:
    def test_replaces_with_a_warning(self, script):
        parsed = parse(script, [*SAVE, "-brnn"])
        assert parsed.options.encoder == "brnn"
        assert parsed.warnings == ("option -brnn is deprecated, use -encoder brnn",)
        assert parsed.given == {"save_data", "encoder"}

    def test_contradicting_the_new_option(self, script, refusal):
        message = refusal(script, [*SAVE, "-brnn", "-encoder", "rnn"])
        assert message == "-brnn means -encoder brnn, but -encoder is rnn"

    def test_false_means_nothing(self, script, tmp_path):
        config = tmp_path / "my.conf"
        config.write_text("brnn = false\nencoder = rnn\n")  # as the original writes it
        parsed = parse(script, [*SAVE, "-config", str(config)])
        assert (parsed.options.encoder, parsed.warnings) == ("rnn", ())

    def test_beats_the_file_only_from_the_command_line(self, script, tmp_path):
        config = tmp_path / "my.conf"
        config.write_text("encoder = rnn\n")
        assert parse(script, [*SAVE, "-brnn", "-config", str(config)]).options.encoder == "brnn"
        config.write_text("brnn = true\n")
        assert parse(script, [*SAVE, "-config", str(config)]).options.encoder == "brnn"
        assert parse(script, [*SAVE, "-encoder", "rnn", "-config", str(config)]).options.encoder == "rnn"


class TestHelp:
    @pytest.mark.parametrize(
        "argv", [["-h"], ["--help"], ["-help"], ["-nonsense", "-h"], ["-md"], ["--version"]]
    )
    def test_wins_over_everything(self, script, argv):
        with pytest.raises(HelpRequested):
            parse(script, argv)

    def test_version(self, script):
        with pytest.raises(HelpRequested) as caught:
            parse(script, ["--version"])
        assert re.fullmatch(r"toy\.py \d+\.\d+\.\d+", caught.value.text)


flags = st.sampled_from(
    ["layers", "sort", "sizes", "fix", "words", "save_data", "tok_src_mode", "brnn", "config", "x"]
)
words = st.one_of(st.text(max_size=6), st.sampled_from(["1", "true", "-1.5", "rnn", "a,b", "", "-", "/"]))
argument = st.one_of(flags.map("-{}".format), flags.map("--{}".format), words)


@settings(max_examples=300, deadline=None)
@given(argv=st.lists(argument, max_size=7))
def test_any_command_line_gives_options_or_one_line(script, argv, outcome):
    assert outcome(script, argv) != ""
