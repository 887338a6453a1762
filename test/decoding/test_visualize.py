"""Pages of attention and searches, from what translate.py writes."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from onmt.commands.pictures import visualize
from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.array_files import ArrayFile, AttentionTable, BeamTree
from onmt.decoding.hypotheses import History
from onmt.decoding.inputs import Source
from onmt.decoding.output import _attention_block, _beam_json, _write_beams
from onmt.decoding.pictures import page
from onmt.decoding.translator import Hypothesis
from onmt.errors import DataError

WEIGHTS = np.array([[1.0, 0.0], [0.25, 0.75]], dtype=np.float32)
VOCABULARY = Vocabulary([*SPECIAL_WORDS, "<b>", "x"])


def history(tokens, parents, scores) -> History:
    values = np.array(scores)
    return History(np.array(tokens), np.array(parents), values, values, values)


# JSON leaves out the last steps.
PAST = [
    history([[4, 5], [5, 5], [4, 4]], [[0, 0], [1, 1], [0, 0]], [[-1.0, -2.0], [-2.5, -np.inf], [-3, -4]]),
    history([[4, 4]], [[0, 0]], [[-1.0, -2.0]]),
]


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.classes: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.classes += [value for name, value in attrs if name == "class"]
        if tag not in ("meta", "!doctype"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = Source(("a", "|||"))
    vectors = Source(vectors=np.zeros((2, 3), dtype=np.float32))
    blocks = [
        _attention_block(1, "<b> ||| x", Hypothesis([], [], -1.0, np.eye(3, 2, dtype=np.float32)), words),
        _attention_block(3, "", Hypothesis([], [], -np.inf, None), words),
        _attention_block(4, "x y", Hypothesis(["x", "y"], [], -2.5, WEIGHTS), vectors),
    ]
    (tmp_path / "attn").write_text("".join(blocks), encoding="utf-8")
    (tmp_path / "beam").write_text(_beam_json(PAST, VOCABULARY), encoding="utf-8")
    return tmp_path


def test_attention_is_read_as_it_was_written(files):
    first, second, third = AttentionTable.read("attn")
    assert first == AttentionTable(1, ["<b>", "|||", "x"], ["a", "|||"], -1.0, [[1, 0], [0, 1], [0, 0]])
    assert (second.number, second.score, second.weights) == (3, -np.inf, [])
    assert third == AttentionTable(4, ["x", "y"], [], -2.5, WEIGHTS.tolist())


def test_the_page_shows_tables_and_trees(files):
    assert visualize(["-attention", "attn", "-beam", "beam", "-output", "page"]) == 0
    text = (files / "page").read_text(encoding="utf-8")
    elements = Elements(text)
    assert elements.counts["table"] == 3
    assert elements.counts["td"] == 10
    assert (elements.counts["svg"], elements.counts["line"]) == (2, 1)
    assert elements.classes.count("kept") == 1
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "http" not in text


def test_chosen_sentences_only(files, capsys):
    assert visualize(["-attention", "attn", "-sentences", "4", "-output", "page"]) == 0
    assert (files / "page").read_text(encoding="utf-8").count("<table ") == 1
    assert visualize(["-attention", "attn", "-sentences", "2"]) == 1
    assert "attn: there is no sentence 2" in capsys.readouterr().err
    assert visualize(["-beam", "beam", "-sentences", "3"]) == 1
    assert visualize([]) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("what\n", "line 1: not the header"),
        pytest.param(
            f"{'9' * 5000} ||| x ||| -1.0 ||| a ||| 1 1\n1\n\n", "line 1: not the header", id="digits"
        ),
        ("1 ||| x ||| -1.0 ||| a ||| 1 1\nx\n\n", "line 2: expected the weights"),
        ("1 ||| x ||| -1.0 ||| a ||| 1 2\n0.5\n", "line 1: expected the weights"),
        ("1 ||| x ||| -1.0 ||| a ||| 1 1\n0.5\n0.5\n", "line 3: expected an empty line"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    (tmp_path / "attn").write_text(content)
    with pytest.raises(DataError, match=message):
        AttentionTable.read(str(tmp_path / "attn"))


@pytest.mark.parametrize(
    "change",
    [
        {"scores": [[["a"]]]},
        {"scores": [[[-1.0, -2.0]]]},
        {"beam_parent_ids": [[[0], [7]]], "predicted_ids": [[["a"], ["b"]]], "scores": [[[0], [0]]]},
        {"beam_parent_ids": [[[0], [0.0]]], "predicted_ids": [[["a"], ["b"]]], "scores": [[[0], [0]]]},
        {"predicted_ids": [[[1]]]},
        {"scores": []},
        {"scores": 3},
        {"scores": [[[10**400]]]},
    ],
)
def test_other_json_is_refused(change, tmp_path):
    content = {"predicted_ids": [[["a"]]], "beam_parent_ids": [[[0]]], "scores": [[[-1.0]]]} | change
    (tmp_path / "beam").write_text(json.dumps(content))
    with pytest.raises(DataError, match="not a file of -save_beam_to"):
        BeamTree.read(str(tmp_path / "beam"))


def test_json_without_an_end_is_refused(tmp_path):
    (tmp_path / "beam").write_text("[" * 100000)
    with pytest.raises(DataError, match="not a file of -save_beam_to"):
        BeamTree.read(str(tmp_path / "beam"))


@pytest.fixture
def array_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ArrayFile("attn.npz") as file:
        for line, weights in enumerate([WEIGHTS, np.zeros((0, 0), dtype=np.float32)]):
            file.add(f"arr_{line}", weights)
    with ArrayFile("beam.npz") as file:
        _write_beams(file, [None, *PAST], VOCABULARY, 2)
    return tmp_path


def test_arrays_are_read_as_they_were_written(array_files):
    assert AttentionTable.read("attn.npz") == [
        AttentionTable(1, [], [], None, WEIGHTS.tolist()),
        AttentionTable(2, [], [], None, []),
    ]
    assert BeamTree.read("beam.npz") == [
        BeamTree([], [], []),
        BeamTree(
            [["<b>", "x"], ["x", ""], ["<b>", "<b>"]],
            [[0, 0], [1, 0], [0, 0]],
            [[-1.0, -2.0], [-2.5, None], [-3.0, -4.0]],
        ),
        BeamTree([["<b>", "<b>"]], [[0, 0]], [[-1.0, -2.0]]),
    ]


def test_arrays_are_shown(array_files):
    assert visualize(["-attention", "attn.npz", "-beam", "beam.npz", "-output", "page"]) == 0
    text = (array_files / "page").read_text(encoding="utf-8")
    elements = Elements(text)
    assert (elements.counts["table"], elements.counts["td"]) == (2, 4)
    assert elements.counts["svg"] == 3
    assert "<h2>Line 1</h2>" in text
    assert visualize(["-beam", "beam.npz", "-sentences", "2", "-output", "page"]) == 0
    assert (array_files / "page").read_text(encoding="utf-8").count("<svg") == 1


def test_images_need_their_names(array_files, capsys):
    assert visualize(["-attention", "attn.npz", "-images", "."]) == 2
    assert "a file of text, not of arrays" in capsys.readouterr().err


BEAMS = {
    "predicted_ids": np.zeros((1, 1, 1), dtype=np.int64),
    "beam_parent_ids": np.zeros((1, 1, 1), dtype=np.int64),
    "scores": np.zeros((1, 1, 1)),
    "log_probs": np.zeros((1, 1, 1)),
    "steps": np.array([1]),
    "target_words": np.array(["a"]),
}


@pytest.mark.parametrize(
    "change",
    [
        {"steps": np.array([2])},
        {"steps": np.array([-1])},
        {"steps": np.array([1, 1])},
        {"steps": np.array([1.0])},
        {"scores": np.zeros((1, 1))},
        {"scores": np.zeros((1, 1, 2))},
        {"predicted_ids": np.full((1, 1, 1), -2)},
        {"predicted_ids": np.full((1, 1, 1), 1)},
        {"target_words": np.array(["a"], dtype=object)},
        {"target_words": np.array([b"a"])},
    ],
)
def test_other_arrays_are_refused(change, tmp_path, capsys):
    path = tmp_path / "beam.npz"
    np.savez(path, **BEAMS)
    assert len(BeamTree.read(str(path))) == 1
    np.savez(path, **(BEAMS | change))
    assert visualize(["-beam", str(path), "-output", str(tmp_path / "page")]) == 1
    assert capsys.readouterr().err == (f"visualize.py: {path}: damaged, or not a file of -save_beam_to\n")


def test_an_attention_file_has_tables_only(tmp_path):
    path = tmp_path / "attn.npz"
    for arrays in ({"arr_1": WEIGHTS}, {"arr_0": WEIGHTS, "other": WEIGHTS}, {"arr_0": WEIGHTS[0]}):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match="not a file of -save_attention"):
            AttentionTable.read(str(path))


def test_hypotheses_of_a_sentence_stand_together_each_with_rank_score_and_text_once():
    tables = [
        AttentionTable(7, ["x", "y"], ["a", "longer"], -0.25, [[1.0, 0.0], [0.0, 1.0]]),
        AttentionTable(7, ["z"], ["a", "longer"], -1.5, [[0.5, 0.5]]),
        AttentionTable(8, [], ["b"], -2.0, []),
    ]
    text = page(tables, [])
    Elements(text)
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["Sentence 7", "Sentence 8"]
    assert re.findall(r'class="source">(.*?)<', text) == ["a longer", "b"]
    captions = re.findall(r'rank">(.*?)<.*?score">(.*?)<.*?text">(.*?)<', text)
    assert captions == [("1", "-0.2500", "x y"), ("2", "-1.5000", "z"), ("1", "-2.0000", "")]
    assert text.count('title="longer"') == 2  # what does not fit is shown when pointed at


def test_an_empty_page_is_a_page():
    Elements(page([], []))


def test_attention_over_an_image_darkens_what_is_not_read(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"pixels")
    (tmp_path / "weights").write_text("1 ||| x ||| -0.5 ||| a.png ||| 6 1\n0 0.5 0 0.25 0 0.25\n\n")
    out = tmp_path / "page.html"
    given = ["-attention", str(tmp_path / "weights"), "-images", str(tmp_path), "-output", str(out)]
    assert visualize([*given, "-grid", "2", "3"]) == 0
    text = out.read_text()
    Elements(text)
    assert "url(data:image/png;base64,cGl4ZWxz)" in text
    assert "repeat(2, 1fr) / repeat(3, 1fr)" in text
    shades = [float(part.split(")")[0]) for part in text.split("rgba(0, 0, 0, ")[1:]]
    assert shades == [0.85, 0, 0.85, 0.425, 0.85, 0.425]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ([], 1, "6 weights do not fit 2 rows and 2 columns"),
        (["-grid", "6"], 2, "-grid must be two numbers"),
        (["-images", "", "-grid", "2", "3"], 2, "-grid is about images"),
        (["-grid", "2", "3"], 1, "No such file or directory"),
    ],
)
def test_images_that_cannot_be_shown(tmp_path, capsys, flags, code, message) -> None:
    if "No such" not in message:
        (tmp_path / "a.png").write_bytes(b"pixels")
    (tmp_path / "weights").write_text("1 ||| x ||| -0.5 ||| a.png ||| 6 1\n0 0.5 0 0.25 0 0.25\n\n")
    images = [] if "-images" in flags else ["-images", str(tmp_path)]
    given = ["-attention", str(tmp_path / "weights"), "-output", str(tmp_path / "page.html")]
    assert visualize([*given, *images, *flags]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_an_image_of_no_name_that_files_have(tmp_path, capsys) -> None:
    (tmp_path / "weights").write_text("1 ||| x ||| -0.5 ||| a\0.png ||| 1 1\n1\n\n")
    given = ["-attention", str(tmp_path / "weights"), "-output", str(tmp_path / "page.html")]
    assert visualize([*given, "-images", str(tmp_path)]) == 1
    assert "the image of sentence 1: embedded null byte" in capsys.readouterr().err


def test_words_without_weights_are_shown(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"pixels")
    (tmp_path / "weights").write_text("1 ||| x ||| -0.5 ||| a.png ||| 0 1\n\n\n")
    given = ["-attention", str(tmp_path / "weights"), "-output", str(tmp_path / "page.html")]
    assert visualize([*given, "-images", str(tmp_path)]) == 0


def test_words_are_cut_at_blanks_only(tmp_path) -> None:
    path = tmp_path / "attention"
    path.write_text("1 ||| x\u00a0y ||| -1.0 ||| a\u2003b c ||| 2 1\n0.5 0.5\n\n", encoding="utf-8")
    (table,) = AttentionTable.read(str(path))
    assert table.target == ["x\u00a0y"]
    assert table.source == ["a\u2003b", "c"]
