"""The servers' load test: the malformed requests that it sends, and a small run."""

import asyncio
import json
from pathlib import Path

import pytest
from rest_serving import SPACE, Client, model, served
from small_models import SOURCE, TARGET, save

from benchmarks.malformed import malformed_requests, send
from benchmarks.serving import serving
from onmt.data.vocabulary import Vocabularies
from onmt.models.options import Seq2SeqModelOptions
from onmt.serving.options import LimitOptions


@pytest.fixture
def model_file(tmp_path: Path) -> str:
    options = Seq2SeqModelOptions(layers=1, rnn_size=16, word_vec_size=8)
    save(f"{tmp_path}/model.pt", options, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    return f"{tmp_path}/model.pt"


def test_malformed_requests_are_answered_as_documented(model_file: str) -> None:
    kinds = malformed_requests("a b c")
    assert len({kind.name for kind in kinds}) == len(kinds) >= 20

    def use(client: Client) -> None:
        async def send_all() -> list[int]:
            return await asyncio.gather(*(send(client.port, kind) for kind in kinds))

        for kind, status in zip(kinds, asyncio.run(send_all()), strict=True):
            assert status in kind.statuses, kind.name
        assert client.post([{"src": "a"}])[0] == 200

    served([model(model_file, tokenizer=SPACE)], use, limits=LimitOptions(request_timeout=1))


@pytest.mark.slow
def test_a_small_run(model_file: str, tmp_path: Path) -> None:
    src, output = tmp_path / "src", tmp_path / "report.json"
    src.write_text("a b c\nc\nb b\n", encoding="utf-8")
    argv = ["-model", model_file, "-src", str(src), "-output", str(output)]
    assert serving([*argv, "-requests", "60", "-timed", "30", "-clients", "4"]) == 0
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["mixed"]["wrong_answers"] == []
    assert report["mixed"]["server_alive"]
    assert report["terminated"]["lost"] == report["terminated"]["exit_code"] == 0
