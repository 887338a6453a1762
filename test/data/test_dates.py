from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.data import toy_tasks

CORPUS = Path(__file__).resolve().parents[2] / "data" / "dates"


def read(name: str) -> list[str]:
    return (CORPUS / name).read_text(encoding="utf-8").split("\n")[:-1]


def test_spelling_is_undone_by_joining() -> None:
    assert toy_tasks.spell("at 4:15 pm") == "a t _ 4 : 1 5 _ p m"
    assert toy_tasks.join("a t _ 4 : 1 5 _ p m") == "at 4:15 pm"


@given(st.text(alphabet="abc019:-, ", max_size=30))
def test_joining_undoes_any_spelling(text: str) -> None:
    assert toy_tasks.join(toy_tasks.spell(text)) == text


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2019, 3, 3, 16, 15), {"16:15", "4:15 pm", "a quarter past four in the afternoon"}),
        (datetime(2019, 3, 3, 12, 0), {"12:00", "noon"}),
        (datetime(2019, 3, 3, 0, 0), {"00:00"}),
        (datetime(2019, 3, 3, 0, 30), {"00:30", "12:30 am"}),
        (datetime(2019, 3, 3, 12, 30), {"12:30", "12:30 pm", "half past twelve in the afternoon"}),
        (datetime(2019, 3, 3, 11, 50), {"11:50", "11:50 am", "ten to twelve in the morning"}),
        (datetime(2019, 3, 3, 12, 40), {"12:40", "12:40 pm", "twenty to one in the afternoon"}),
        (datetime(2019, 3, 3, 23, 45), {"23:45", "11:45 pm"}),
        (datetime(2019, 3, 3, 20, 0), {"20:00", "8:00 pm", "8 pm", "eight in the evening"}),
        (datetime(2019, 3, 3, 7, 59), {"07:59", "7:59 am"}),
    ],
)
def test_every_way_to_say_a_time(moment: datetime, expected: set[str]) -> None:
    styles = toy_tasks._IN_DIGITS + toy_tasks._IN_WORDS
    assert {text for style in styles if (text := style(moment)) is not None} == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (
            datetime(2021, 12, 12),
            {
                "12 december 2021",
                "december 12, 2021",
                "12th of december 2021",
                "the twelfth of december 2021",
                "12-dec-2021",
                "sun dec 12 2021",
            },
        ),
        (
            datetime(1999, 5, 22),
            {
                "22 may 1999",
                "may 22, 1999",
                "22nd of may 1999",
                "the twenty-second of may 1999",
                "22-may-1999",
                "sat may 22 1999",
            },
        ),
    ],
)
def test_every_way_to_say_a_date(moment: datetime, expected: set[str]) -> None:
    assert {style(moment) for style in toy_tasks._DATE_STYLES} == expected


def test_no_two_moments_share_a_source() -> None:
    answers = {}
    for pair in islice(toy_tasks.generate(7), 5_000):
        assert answers.setdefault(pair.source, pair.target) == pair.target
        assert datetime.strptime(pair.target, "%Y-%m-%d %H:%M")
    assert len(set(answers.values())) == 5_000


def test_the_seed_decides() -> None:
    first, again, other = (list(islice(toy_tasks.generate(seed), 20)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("side", ["src", "tgt"])
def test_the_test_and_validation_lines_are_unseen(side: str) -> None:
    train, valid, test = (set(read(f"{split}.{side}")) for split in ("train", "valid", "test"))
    assert not train & valid
    assert not train & test
    assert not valid & test
