"""Configuration files (onmt/commandline/config_file.py), as the parser reads and writes them."""

import math
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onmt.commandline.parser import parse
from onmt.errors import OnmtError

SAVE = ["-save_data", "demo"]


class TestConfigFile:
    def test_the_command_line_wins_and_says_so(self, script, tmp_path):
        config = tmp_path / "my.conf"
        config.write_text("layers = 3\ndropout = 0.5\nsort = false\n")
        parsed = parse(script, [*SAVE, "-config", str(config), "-layers", "4", "-sort", "false"])
        assert (parsed.options.layers, parsed.options.dropout, parsed.options.sort) == (4, 0.5, False)
        assert parsed.notices == (f"{config}:1: layers is overridden by -layers on the command line",)
        assert parsed.given == {"save_data", "layers", "dropout", "sort"}

    def test_may_choose_the_set(self, script, tmp_path, options):
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
    def test_refusals_name_file_and_line(self, script, tmp_path, line, message, refusal):
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

    def test_files_that_cannot_be_read(self, script, tmp_path, refusal):
        message = refusal(script, [*SAVE, "-config", "no.conf"])
        assert message == "cannot read -config no.conf: No such file or directory"
        assert refusal(script, [*SAVE, "-config", str(tmp_path)]).endswith("Is a directory")
        assert refusal(script, [*SAVE, "-config"]) == "missing argument(s) for option -config"

    def test_byte_order_marks_are_told(self, script, tmp_path, refusal):
        config = tmp_path / "my.conf"
        config.write_bytes(b"\xef\xbb\xbflayers = 3\r\n")
        parsed = parse(script, [*SAVE, "-config", str(config)])
        assert parsed.options.layers == 3
        assert parsed.notices == (f"{config}:1: the byte order mark at offset 0 is passed over",)
        config.write_bytes("layers = 3\n".encode("utf-16"))
        assert refusal(script, [*SAVE, "-config", str(config)]) == (
            f"{config}:1: the file is UTF-16 (byte order mark at offset 0), save it as UTF-8"
        )

    def test_bad_bytes_are_told(self, script, tmp_path, refusal):
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
    def test_a_text_is_taken_whole(self, script, tmp_path, text, value, options):
        config = tmp_path / "my.conf"
        config.write_text(f"--log_tag = {text}\n")
        assert options(script, "-config", str(config)).log_tag == value

    @pytest.mark.parametrize(
        ("text", "value"),
        [("a b,c", ("a", "b", "c")), ("", ()), ("a # b", ("a",)), ('"a b" "c,d",e#', ("a b", "c,d", "e#"))],
    )
    def test_lists(self, script, tmp_path, text, value, options):
        config = tmp_path / "my.conf"
        config.write_text(f"words = x\n-words = {text}\n")  # the last of repeated keys counts
        assert options(script, "-config", str(config)).words == value

    def test_environment_variables_mean_nothing(self, script, monkeypatch, options):
        for name in ("LAYERS", "layers", "--layers", "TOY_LAYERS"):
            monkeypatch.setenv(name, "7")
        assert options(script).layers == 2


class TestSaveConfig:
    def test_is_read_back_identically(self, script, tmp_path, options):
        saved = str(tmp_path / "saved.conf")
        argv = ["-layers", "3", "-words", "a", "b#", "-log_tag", ' # "x" ', "-train_src", "", "-limit", "inf"]
        first = options(script, *argv, "-save_config", saved)
        assert parse(script, ["-config", saved]).options == first
        assert os.listdir(tmp_path) == ["saved.conf"]

    def test_deprecated_flags_are_not_written(self, script, tmp_path, options):
        saved = tmp_path / "saved.conf"
        options(script, "-brnn", "-save_config", str(saved))
        text = saved.read_text()
        assert "encoder = brnn\n" in text
        assert not re.search("^(brnn|config|save_config|h|md) =", text, re.MULTILINE)

    def test_nothing_is_written_for_a_refused_command_line(self, script, tmp_path, refusal):
        saved = tmp_path / "saved.conf"
        refusal(script, [*SAVE, "-layers", "0", "-save_config", str(saved)])
        assert not saved.exists()

    def test_a_device_is_written_to_directly(self, script, options):
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
    def test_any_values_survive(self, script, tmp_path, text, words, number, sizes, raw, options):
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
        stripped = (word.strip(" \t\n\r\v\f") for word in words)
        assert first.words == tuple(word for word in stripped if word)
        assert (first.threshold, first.sizes) == (number, tuple(sizes))
        assert parse(script, ["-config", saved]).options == first


PART_OF_A_LINE = st.text(max_size=6) | st.sampled_from(
    "layers sort sizes fix words save_data tok_src_mode brnn config -fix --x 1 true -1.5 rnn a,b - /".split()
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.one_of(
        st.binary(), st.text().map(str.encode), st.lists(PART_OF_A_LINE).map(" = ".join).map(os.fsencode)
    )
)
def test_any_config_file_gives_options_or_one_line(script, tmp_path, content, outcome):
    config = tmp_path / "any.conf"
    config.write_bytes(content)
    message = outcome(script, [*SAVE, "-config", str(config)])
    assert message is None or str(config) in message
