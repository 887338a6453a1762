import math
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onmt.commandline.parser import parse
from onmt.commandline.script import HelpRequested
from onmt.errors import OnmtError, OptionError

SAVE = ["-save_data", "demo"]


def options(script, *argv):
    return parse(script, [*SAVE, *argv]).options


def refusal(script, argv):
    with pytest.raises(OptionError) as caught:
        parse(script, argv)
    return str(caught.value)


def outcome(script, argv):
    """The refusal of a command line, if it is refused."""
    try:
        parse(script, argv)
    except HelpRequested:
        return None
    except OptionError as error:
        return str(error)
    return None


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
def test_values(script, words, name, value):
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
        (["-layers=3"], "unknown option -layers=3: a value follows after a blank, -layers 3"),
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
def test_refusals(script, argv, message):
    assert refusal(script, [*SAVE, *argv]) == message


def test_words_before_the_first_flag_belong_to_nothing(script):
    assert refusal(script, ["loose", *SAVE]) == "invalid argument: 'loose'"


def test_a_word_with_an_unpaired_surrogate_or_zero_byte_is_refused(script, tmp_path):
    assert "no valid Unicode" in refusal(script, [*SAVE, "-train_src", "\ud800"])
    config = tmp_path / "zero.conf"
    config.write_text('train_src = "\\u0000"\n')
    assert "zero byte" in refusal(script, [*SAVE, "-config", str(config)])


def test_required_unless_dry(script):
    assert refusal(script, []) == "missing required option -save_data"
    assert refusal(script, ["-save_data", ""]) == "missing required option -save_data"
    assert parse(script, ["-dry_run"]).options.save_data == ""
    assert refusal(script, ["-dry_run", "0"]) == "missing required option -save_data"


def test_an_option_chooses_the_set(script):
    assert options(script, "-data_type", "monotext", "-train", "x", "-tok_mode", "space").train == "x"


def test_an_unknown_choice_is_refused_as_any_other_word(script):
    message = refusal(script, [*SAVE, "-data_type", "images"])
    assert message == "option -data_type: 'images' is not in accepted values: bitext, monotext"


class TestPositional:
    def test_anywhere(self, positional_script):
        for argv in (
            ["score"],
            ["score", "-quiet"],
            ["-quiet", "score"],  # Lua takes the positional for the boolean's value here
            ["-order", "2", "score"],
            ["-quiet", "true", "score"],
        ):
            assert parse(positional_script, argv).options.mode == "score"

    def test_refusals(self, positional_script):
        expected = {
            (): "not enough arguments: <mode> is missing (one of: score, sample)",
            ("-models", "a", "score"): "not enough arguments: <mode> is missing (one of: score, sample)",
            ("guess",): "option <mode>: 'guess' is not in accepted values: score, sample",
            ("score", "sample"): "invalid argument: 'sample'",
            ("score", "-quiet", "sample"): (
                "invalid argument 'sample' for boolean option -quiet (should be 0, 1, false or true)"
            ),
            ("-mode", "score"): "unknown option -mode: 'mode' is given by its place, without a flag",
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

    def test_contradicting_the_new_option(self, script):
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


class TestConfigFile:
    def test_the_command_line_wins_and_says_so(self, script, tmp_path):
        config = tmp_path / "my.conf"
        config.write_text("layers = 3\ndropout = 0.5\nsort = false\n")
        parsed = parse(script, [*SAVE, "-config", str(config), "-layers", "4", "-sort", "false"])
        assert (parsed.options.layers, parsed.options.dropout, parsed.options.sort) == (4, 0.5, False)
        assert parsed.notices == (f"{config}:1: layers is overridden by -layers on the command line",)
        assert parsed.given == {"save_data", "layers", "dropout", "sort"}

    def test_may_choose_the_set(self, script, tmp_path):
        config = tmp_path / "my.conf"
        config.write_text("data_type = monotext\ntrain = x\n")
        assert options(script, "-config", str(config)).train == "x"

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("layrs = 3", "unknown option -layrs; did you mean -layers?"),
            ("train = x", "unknown option -train; it exists with -data_type monotext"),
            ("layers = two", "invalid type for option -layers (should be an integer, not 'two')"),
            ("layers = 3 4", "invalid type for option -layers (should be an integer, not '3 4')"),
            ("layers =", "missing argument for option -layers"),
            ("sort =", "missing argument for option -sort"),
            ("layers = 0", "invalid argument for option -layers: the integer must be at least 1"),
            ("layers", "expected 'key = value', not 'layers'"),
            ("= 3", "expected 'key = value', not '= 3'"),
            ('train_src = "x', "the quoted value of train_src is no JSON string"),
            ('train_src = "x" y', "more text after the quoted value of train_src"),
        ],
    )
    def test_refusals_name_file_and_line(self, script, tmp_path, line, message):
        config = tmp_path / "my.conf"
        config.write_text(f"# first\n\n{line}\n")
        assert refusal(script, [*SAVE, "-config", str(config)]) == f"{config}:3: {message}"

    def test_what_belongs_to_a_command_line_is_passed_over(self, script, tmp_path):
        config, other = tmp_path / "my.conf", tmp_path / "other.conf"
        config.write_text(f"h = false\nmd = true\nconfig = no.conf\nsave_config = {other}\nlayers = 3\n")
        parsed = parse(script, [*SAVE, "-config", str(config), "-save_config", str(tmp_path / "saved.conf")])
        assert parsed.given == {"save_data", "layers"}
        assert parsed.notices == ()
        assert not other.exists()

    def test_files_that_cannot_be_read(self, script, tmp_path):
        message = refusal(script, [*SAVE, "-config", "no.conf"])
        assert message == "cannot read -config no.conf: No such file or directory"
        assert refusal(script, [*SAVE, "-config", str(tmp_path)]).endswith("Is a directory")
        assert refusal(script, [*SAVE, "-config"]) == "missing argument(s) for option -config"

    def test_byte_order_marks_are_told(self, script, tmp_path):
        config = tmp_path / "my.conf"
        config.write_bytes(b"\xef\xbb\xbflayers = 3\r\n")
        parsed = parse(script, [*SAVE, "-config", str(config)])
        assert parsed.options.layers == 3
        assert parsed.notices == (f"{config}:1: the byte order mark at offset 0 is passed over",)
        config.write_bytes("layers = 3\n".encode("utf-16"))
        assert refusal(script, [*SAVE, "-config", str(config)]) == (
            f"{config}:1: the file is UTF-16 (byte order mark at offset 0), save it as UTF-8"
        )

    def test_bad_bytes_are_told(self, script, tmp_path):
        config = tmp_path / "my.conf"
        for content, told in (
            (
                b"layers = 3\nlog_tag = a\xff",
                f"{config}:2: byte 0xff at offset 11 of the line is not UTF-8",
            ),
            (b"log_tag = \0", f"{config}:1: zero byte at offset 10 of the line"),
        ):
            config.write_bytes(content)
            assert refusal(script, [*SAVE, "-config", str(config)]) == told

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("my tag", "my tag"),
            ("  my tag \t", "my tag"),
            ("my tag # why", "my tag"),
            ("my#tag", "my#tag"),
            ("# why", ""),
            ("", ""),
            ("a = b", "a = b"),
            ('" # tag "  # why', " # tag "),
            ('"a\\tb\\u00e4"', "a\tbä"),
        ],
    )
    def test_a_text_is_taken_whole(self, script, tmp_path, text, value):
        config = tmp_path / "my.conf"
        config.write_text(f"--log_tag = {text}\n")
        assert options(script, "-config", str(config)).log_tag == value

    @pytest.mark.parametrize(
        ("text", "value"),
        [("a b,c", ("a", "b", "c")), ("", ()), ("a # b", ("a",)), ('"a b" "c,d",e#', ("a b", "c,d", "e#"))],
    )
    def test_lists(self, script, tmp_path, text, value):
        config = tmp_path / "my.conf"
        config.write_text(f"words = x\n-words = {text}\n")  # the last of repeated keys counts
        assert options(script, "-config", str(config)).words == value

    def test_environment_variables_mean_nothing(self, script, monkeypatch):
        for name in ("LAYERS", "layers", "--layers", "TOY_LAYERS"):
            monkeypatch.setenv(name, "7")
        assert options(script).layers == 2


class TestSaveConfig:
    def test_is_read_back_identically(self, script, tmp_path):
        saved = str(tmp_path / "saved.conf")
        argv = ["-layers", "3", "-words", "a", "b#", "-log_tag", ' # "x" ', "-train_src", "", "-limit", "inf"]
        first = options(script, *argv, "-save_config", saved)
        assert parse(script, ["-config", saved]).options == first
        assert os.listdir(tmp_path) == ["saved.conf"]

    def test_deprecated_flags_are_not_written(self, script, tmp_path):
        saved = tmp_path / "saved.conf"
        options(script, "-brnn", "-save_config", str(saved))
        text = saved.read_text()
        assert "encoder = brnn\n" in text
        assert not re.search("^(brnn|config|save_config|h|md) =", text, re.MULTILINE)

    def test_nothing_is_written_for_a_refused_command_line(self, script, tmp_path):
        saved = tmp_path / "saved.conf"
        refusal(script, [*SAVE, "-layers", "0", "-save_config", str(saved)])
        assert not saved.exists()

    def test_a_device_is_written_to_directly(self, script):
        options(script, "-save_config", os.devnull)
        assert not os.path.isfile(os.devnull)

    def test_a_folder_that_is_not_there(self, script, tmp_path):
        saved = tmp_path / "no" / "saved.conf"
        with pytest.raises(OnmtError) as caught:
            parse(script, [*SAVE, "-save_config", str(saved)])
        assert str(caught.value) == f"cannot write -save_config {saved}: No such file or directory"

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        words=st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0,"), min_size=1)
        ),
        number=st.floats(allow_nan=False, exclude_min=True, min_value=-math.inf),
        sizes=st.lists(st.integers(0, 2**63 - 1)),
        raw=st.binary(max_size=5),
    )
    def test_any_values_survive(self, script, tmp_path, text, words, number, sizes, raw):
        saved = str(tmp_path / "saved.conf")
        raw_name = os.fsdecode(raw.replace(b"\0", b""))
        argv = [
            "-log_tag",
            f" {text}",
            "-words",
            "",
            *(f" {word}" for word in words),
            "-threshold",
            repr(number),
        ]
        argv += ["-sizes", "", *map(str, sizes), "-train_src", f"+{raw_name}"]
        first = options(script, *argv, "-save_config", saved)
        assert first.log_tag == f" {text}"
        assert first.words == tuple(f" {word}" for word in words)
        assert (first.threshold, first.sizes) == (number, tuple(sizes))
        assert parse(script, ["-config", saved]).options == first


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
def test_any_command_line_gives_options_or_one_line(script, argv):
    assert outcome(script, argv) != ""


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.one_of(
        st.binary(), st.text().map(str.encode), st.lists(argument).map(" = ".join).map(os.fsencode)
    )
)
def test_any_config_file_gives_options_or_one_line(script, tmp_path, content):
    config = tmp_path / "any.conf"
    config.write_bytes(content)
    message = outcome(script, [*SAVE, "-config", str(config)])
    assert message is None or str(config) in message
