"""The documentation matches the code, and the targets of its links exist."""

import re
from pathlib import Path

import pytest

from onmt.commandline.document import document

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("*.md")])


def test_the_option_pages_are_up_to_date(tmp_path: Path) -> None:
    """If this fails, run `make docs`."""
    assert document([str(tmp_path)]) == 0
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    committed = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "options").glob("*.md")
    }
    assert committed == pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
