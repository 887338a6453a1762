import pytest

from onmt.commandline.parser import parse
from onmt.commandline.script import HelpRequested


def answer(script, *argv):
    with pytest.raises(HelpRequested) as caught:
        parse(script, argv)
    return caught.value.text.splitlines()


def test_markdown_bullets(script):
    page = answer(script, "-h", "-md")
    assert page[0] == "# `toy.py` options"
    for heading in ("Pairs", "Tokenizer", "Data", "Model", "Logger", "Command line"):
        assert f"## {heading} options" in page
    for bullet in (
        "* `-data_type <string>` (accepted: `bitext`, `monotext`; default: `bitext`)<br/>Kind of data.",
        "* `-save_data <string>` (required)<br/>Start of the names.",
        "* `-sort [<boolean>]` (default: `true`)<br/>Sort.",
        "* `-sizes <table>` (default: `50000`)<br/>Sizes.",
        "* `-words <table>`<br/>Words.",
        "* `-train_src <string>` (default: `''`)<br/>Source.",
        "* `-layers <number>` (default: `2`)<br/>Layers.",
        "* `-limit <number>` (default: `inf`)<br/>Limit.",
        "* `-fix [<boolean>/<string>]` (accepted: `true`, `false`, `pretrained`; default: `false`)<br/>"
        "Keep vectors.",
        "* `-tok_{src,tgt}_mode <string>` (accepted: `space`, `conservative`; default: `space`)<br/>"
        "Where tokens end.",
    ):
        assert bullet in page


def test_terminal_help(script):
    page = answer(script, "-h")
    assert page[:3] == ["Usage: toy.py [options]", "", "A toy with all kinds of options."]
    assert "Data options" in page
    position = page.index("  -data_type <string> (accepted: bitext, monotext; default: bitext)")
    assert page[position + 1] == "      Kind of data."
    position = page.index("  -log_level <string> (accepted: DEBUG, INFO, WARNING, ERROR, NONE; default:")
    assert page[position + 1] == "      INFO)"
    assert max(len(line) for line in page) <= 80


def test_deprecated_flags_are_hidden(script):
    assert not any("-brnn" in line for line in answer(script, "-h") + answer(script, "-md"))


def test_the_chosen_set_is_shown(script):
    page = answer(script, "-h", "-data_type", "monotext")
    assert "  -train <string> (default: '')" in page
    assert not any("train_src" in line for line in page)
    assert any("-h -data_type" in line for line in page)


def test_positionals(positional_script):
    page = answer(positional_script, "-h")
    assert page[0] == "Usage: tools/score.py [options] <mode>"
    assert "  <mode> <string> (required; accepted: score, sample)" in page
    assert "* `<mode> <string>` (required; accepted: `score`, `sample`)<br/>What to do." in answer(
        positional_script, "-md"
    )
