"""The JSON protocol of OpenNMT's servers: parse and check requests, build answers. Does not import torch."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NoReturn

from onmt.errors import OnmtError

if TYPE_CHECKING:
    from onmt.serving.api import LineHypothesis, TranslatedLine

_DIGITS: Final = 6  # decimals of scores and attention: about the precision of float32
_FOLDERS: Final = re.compile(r"(?<![^\s'\"(])/(?:[^\s/'\"]+/)+")


class RequestError(OnmtError):
    """A request that gets no translation: the HTTP status, and the reason in one line without folders."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(public(reason))
        self.status = status

    @property
    def line(self) -> str:
        """The body of the answer."""
        return f"{self.status.value} {self.status.phrase} - {self}"


@dataclass(frozen=True)
class Item:
    """One sentence of a request. labels: word features added to each of its tokens.

    with_tokens: include source and target tokens in the answer, even if attention is not requested.
    """

    text: str
    labels: tuple[str, ...] = ()
    with_attention: bool = False
    with_tokens: bool = False


@dataclass(frozen=True)
class TranslationRequest:
    """The sentences of a request, and the number of the model that translates them."""

    items: tuple[Item, ...]
    model: int = 1


def public(message: str) -> str:
    """Make a message fit for clients: one line, with folders removed from absolute paths."""
    return _FOLDERS.sub("", message).replace("\r", "\\r").replace("\n", "\\n")


def read_request(body: bytes, most_items: int) -> TranslationRequest:
    """Parse the body of a request. Raises RequestError: 400 if it is malformed, 413 for too many items.

    `{}` counts as an empty list, as in the original, whose JSON library cannot tell the two apart.
    """
    content = _parse(body)
    if content == {}:
        content = []
    if not isinstance(content, list):
        refuse(f"the request must be a list of objects, not {_kind(content)}")
    if len(content) > most_items:
        too_large(f"{len(content)} sentences, but at most {most_items} can be sent at once")
    items = tuple(_item(number, item) for number, item in enumerate(content, start=1))
    return TranslationRequest(items, _model_number(content[0].get("id", 1)) if content else 1)


def refuse(reason: str) -> NoReturn:
    """Raise the error of a malformed request."""
    raise RequestError(HTTPStatus.BAD_REQUEST, reason)


def too_large(reason: str) -> NoReturn:
    """Raise the error of a request beyond a limit."""
    raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)


def unavailable(reason: str) -> RequestError:
    """Return the error for a request that the server cannot answer now."""
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, reason)


def to_json(answer: object) -> bytes:
    """Encode an answer as the original does: UTF-8, with non-ASCII characters not escaped."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def rest_hypotheses(line: "TranslatedLine", with_attention: bool, with_tokens: bool) -> list[dict[str, Any]]:
    """The hypotheses of one item for the REST servers, with detokenized text.

    An empty source gets one empty translation.
    """
    answers = []
    for rank, found in _ranked(line):
        answer = {**_common(line, rank, found), "tgt": "" if found is None else found.text}
        if with_attention:
            answer["attn"] = attention_rows(found)
        if with_tokens:
            answer["src_tokens"] = line.source_tokens
            answer["tgt_tokens"] = [] if found is None else found.tokens
        answers.append(answer)
    return answers


def zeromq_hypotheses(line: "TranslatedLine") -> list[dict[str, Any]]:
    """The hypotheses of one item for the ZeroMQ server: tokens joined by blanks, always with `attn`."""
    return [
        {
            **_common(line, rank, found),
            "tgt": "" if found is None else found.tokenized,
            "attn": attention_rows(found),
        }
        for rank, found in _ranked(line)
    ]


def attention_rows(found: "LineHypothesis | None") -> list[list[float]]:
    """One row per target token, with one number per source position; no rows without attention."""
    if found is None or found.attention is None:
        return []
    rows: list[list[float]] = found.attention.astype("float64").round(_DIGITS).tolist()
    return rows


def _ranked(line: "TranslatedLine") -> Sequence[tuple[int, "LineHypothesis | None"]]:
    return list(enumerate(line.hypotheses, start=1)) or [(1, None)]


def _common(line: "TranslatedLine", rank: int, found: "LineHypothesis | None") -> dict[str, Any]:
    score = 0.0 if found is None else found.score
    return {
        "src": line.source,
        "n_best": rank,
        "pred_score": round(score, _DIGITS) if math.isfinite(score) else None,
    }


def _parse(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        refuse(f"not valid UTF-8 at byte {error.start}")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        refuse(f"not valid JSON: {error.msg} at character {error.pos}")
    except (ValueError, RecursionError):  # an integer with thousands of digits, or deeply nested lists
        refuse("JSON that cannot be read")


def _refuse_constant(name: str) -> NoReturn:
    refuse(f"not valid JSON: {name} is not allowed")


def _item(number: int, item: Any) -> Item:
    where = f"item {number}"
    if not isinstance(item, dict):
        refuse(f"{where} must be an object, not {_kind(item)}")
    if "src" not in item:
        refuse(f"{where} has no 'src'")
    if not isinstance(item["src"], str):
        refuse(f"{where}: 'src' must be a text, not {_kind(item['src'])}")
    return Item(
        item["src"], _labels(where, item), _flag(where, item, "withAttn"), _flag(where, item, "withTokens")
    )


def _labels(where: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    labels = item.get("feats", [])
    if labels is None or labels == {}:
        labels = []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        refuse(f"{where}: 'feats' must be a list of texts")
    return tuple(label for label in labels if label)


def _flag(where: str, item: Mapping[str, Any], name: str) -> bool:
    value = item.get(name)
    if not isinstance(value, bool | None):
        refuse(f"{where}: '{name}' must be true or false, not {_kind(value)}")
    return bool(value)


def _model_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        refuse(f"item 1: 'id' must be the number of a model, not {_kind(value)}")
    return int(value)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else "a number"
