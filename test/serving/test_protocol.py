"""Requests are parsed or refused with one line; answers have the original's fields."""

import json
import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.serving.api import LineHypothesis, TranslatedLine
from onmt.serving.protocol import (
    Item,
    RequestError,
    public,
    read_request,
    rest_hypotheses,
    to_json,
    zeromq_hypotheses,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["src", "feats", "withAttn", "id", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


def test_a_request() -> None:
    body = '[{"src": "a\\u00e9", "feats": ["A", "", "B"], "withAttn": true, "id": 2, "x": 1}, {"src": ""}]'
    request = read_request(body.encode(), 10)
    assert request.items == (Item("aé", ("A", "B"), True), Item(""))
    assert request.model == 2
    assert read_request(b'[{"src": "a"}, {"src": "b", "id": 3}]', 10).model == 1
    for nothing in (b"[]", b"{}", b" [ ] "):
        assert read_request(nothing, 10).items == ()
    assert read_request(b'[{"src": "a", "id": 2.0, "feats": {}, "withAttn": null}]', 10).model == 2


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "not valid JSON"),
        (b"not json", 400, "not valid JSON"),
        (b"[{]", 400, "not valid JSON"),
        (b'[{"src": "a"}] more', 400, "not valid JSON"),
        (b'[{"src": "a", "id": NaN}]', 400, "NaN is not allowed"),
        (b"[" * 100_000, 400, "JSON that cannot be read"),
        (b"[" + b"9" * 10_000 + b"]", 400, "JSON that cannot be read"),
        (b'[{"src": "\xff"}]', 400, "not valid UTF-8 at byte 10"),
        (b"\xff\xfe[\x00]\x00", 400, "not valid UTF-8 at byte 0"),
        (b"null", 400, "not null"),
        (b"3", 400, "not a number"),
        (b'"a"', 400, "not a text"),
        (b"true", 400, "not true"),
        (b'{"src": "a"}', 400, "not an object"),
        (b"[1]", 400, "item 1 must be an object"),
        (b"[{}]", 400, "item 1 has no 'src'"),
        (b'[{"src": "a"}, {"src": null}]', 400, "item 2: 'src' must be a text, not null"),
        (b'[{"src": ["a"]}]', 400, "not a list"),
        (b'[{"src": "a", "feats": "A"}]', 400, "item 1: 'feats'"),
        (b'[{"src": "a", "feats": [1]}]', 400, "item 1: 'feats'"),
        (b'[{"src": "a", "withAttn": 1}]', 400, "item 1: 'withAttn'"),
        (b'[{"src": "a", "id": "1"}]', 400, "item 1: 'id'"),
        (b'[{"src": "a", "id": 1.5}]', 400, "item 1: 'id'"),
        (b'[{"src": "a", "id": 1e999}]', 400, "item 1: 'id'"),
        (b'[{"src": "a", "id": true}]', 400, "item 1: 'id'"),
        (json.dumps([{"src": "a"}] * 4).encode(), 413, "4 sentences, but at most 3"),
    ],
)
def test_what_is_refused(body: bytes, status: int, reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_request(body, 3)
    assert caught.value.status == status
    assert reason in str(caught.value)
    assert caught.value.line.startswith(f"{status} ")
    assert "\n" not in caught.value.line


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_read_or_refused(body: bytes) -> None:
    with suppress(RequestError):  # anything else would be a bug
        assert len(read_request(body, 2).items) <= 2


LINE = TranslatedLine(
    ["a", "b"],
    [["A", "B"]],
    [
        LineHypothesis("X Y", -1.23456789, ["x", "y"], [["C", "C"]], np.eye(2, dtype=np.float32) / 3),
        LineHypothesis("Z", -math.inf, ["z"], [["C"]], None),
    ],
)


def test_answers_of_the_rest_servers() -> None:
    first = {"src": "a￨A b￨B", "n_best": 1, "pred_score": -1.234568, "tgt": "X Y"}
    second = {"src": "a￨A b￨B", "n_best": 2, "pred_score": None, "tgt": "Z"}
    assert rest_hypotheses(LINE, False, False) == [first, second]
    attention = {"attn": [[0.333333, 0.0], [0.0, 0.333333]]}
    tokens = {"src_tokens": ["a", "b"], "tgt_tokens": ["x", "y"]}
    assert rest_hypotheses(LINE, True, True)[0] == {**first, **attention, **tokens}
    assert rest_hypotheses(LINE, True, False)[0] == {**first, **attention}
    assert rest_hypotheses(LINE, True, False)[1]["attn"] == []


def test_answers_of_the_zeromq_server() -> None:
    assert [answer["tgt"] for answer in zeromq_hypotheses(LINE)] == ["x￨C y￨C", "z￨C"]
    assert zeromq_hypotheses(LINE)[0].keys() == {"src", "n_best", "pred_score", "tgt", "attn"}


def test_an_empty_source_has_one_empty_translation() -> None:
    nothing = {"src": "", "n_best": 1, "pred_score": 0.0, "tgt": "", "attn": []}
    assert zeromq_hypotheses(TranslatedLine([], [], [])) == [nothing]
    assert rest_hypotheses(TranslatedLine([], [], []), True, False) == [nothing]


def test_json_is_written_as_the_original_writes_it() -> None:
    assert to_json([{"tgt": "é/￭"}]) == '[{"tgt":"é/￭"}]'.encode()


def test_messages_have_no_folders() -> None:
    assert public("the hook of /home/a/hooks.py: line 3\n/x") == "the hook of hooks.py: line 3\\n/x"
    assert public("and/or '/a b") == "and/or '/a b"
