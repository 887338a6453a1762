from pathlib import Path

import pytest

from onmt.commandline.document import document, reference_page, scripts

PAGES = Path(__file__).parents[2] / "docs" / "options"


def test_a_page_for_every_script(tmp_path, capsys):
    assert document([str(tmp_path / "options")]) == 0
    pages = {path.stem for path in (tmp_path / "options").iterdir()}
    assert pages == {Path(script.name).stem for script in scripts()}
    assert {"preprocess", "train", "translate"} <= pages
    assert capsys.readouterr().err == ""


def test_options_of_other_sets_come_last(script):
    page = reference_page(script)
    usual, other = page.split("\n# Only with `-data_type monotext`\n")
    assert "* `-train_src <string>`" in usual
    assert "* `-train <string>`" not in usual
    assert "* `-train <string>`" in other
    assert "* `-tok_mode <string>`" in other
    assert "* `-layers <number>`" not in other
    assert page.endswith("Scripts to cut.\n")


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.name)
def test_help_texts_are_sentences(script):
    """The help of every option is on one line, begins with a capital letter and ends with a full stop."""
    for line in reference_page(script).split("\n"):
        if line.startswith("* "):
            text = line.partition("<br/>")[2]
            assert text[:1].isupper() or text.startswith(("`", "-"))
            assert text.endswith((".", ".)", "?"))


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.name)
def test_the_pages_of_the_repository_are_up_to_date(script):
    page = PAGES / f"{Path(script.name).stem}.md"
    assert page.read_text(encoding="utf-8") == reference_page(script), "run `make docs`"
