"""The REST servers over real connections."""

import json
import os
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
import torch
from rest_serving import Client, model, served

from onmt.hooks import TokenizerHooks
from onmt.kernels.products import Products
from onmt.runtime.device import Place
from onmt.serving.options import LimitOptions
from onmt.text.options import TokenizerOptions

PATH = "/translator/translate"


def test_requests_and_answers(folder: Path) -> None:
    def use(client: Client) -> None:
        [[only]] = client.translate([{"src": "a  b q", "unknown": 1}])
        assert only.keys() == {"tgt", "src", "n_best", "pred_score"}
        assert (only["src"], only["n_best"]) == ("a b q", 1)
        assert only["pred_score"] < 0
        [[first], [second]] = client.translate([{"src": "a b", "withAttn": True}, {"src": "c"}])
        assert first["src_tokens"] == ["a", "b"]
        assert first["tgt_tokens"] == first["tgt"].split()
        assert [len(row) for row in first["attn"]] == [2] * len(first["tgt_tokens"])
        assert "attn" not in second
        [[empty], [other]] = client.translate([{"src": " "}, {"src": "a b"}])
        assert (empty["tgt"], empty["src"]) == ("", "")
        assert other["tgt"] == first["tgt"]
        assert client.translate([]) == client.translate({}) == []
        body = b'[{"src": "a"}]'
        for path in (PATH, f"/v1{PATH}"):
            for kind in ("text/plain", "application/x-www-form-urlencoded"):
                assert client.request("POST", path, body, **{"Content-Type": kind})[0] == 200

    served([model()], use)


def test_the_page_needs_nothing_from_elsewhere(folder: Path) -> None:
    def use(client: Client) -> None:
        status, content = client.request("GET", "/")
        assert status == 200
        assert b"/* look */" not in content
        assert b"http://" not in content.replace(b'"http://"', b"")
        assert b"https://" not in content
        assert client.request("HEAD", "/")[0] == 200

    served([model()], use)


def test_a_request_of_more_sentences_than_a_batch(folder: Path) -> None:
    def use(client: Client) -> None:
        answers = client.translate([{"src": "abc"[n % 3]} for n in range(130)])
        assert [answer[0]["src"] for answer in answers] == ["abc"[n % 3] for n in range(130)]
        assert batches(client.pool.metrics.text().decode()) == 3

    served([model()], use)


def test_features_ranks_and_detokenization(folder: Path) -> None:
    options = TokenizerOptions(mode="aggressive", joiner_annotate=True, case_feature=True)
    settings = model("featured.pt", tokenizer=options, n_best=3, max_sent_length=4)

    def use(client: Client) -> None:
        [ranks] = client.translate([{"src": "A b", "feats": ["", "news"], "withAttn": True}])
        assert [one["n_best"] for one in ranks] == [1, 2, 3]
        assert {one["src"] for one in ranks} == {"a￨C￨news b￨L￨news"}
        assert ranks[0]["src_tokens"] == ["a", "b"]
        status, reason = client.post([{"src": "A b"}])
        assert (status, b"item 1: 1 features per word" in reason) == (400, True)
        assert client.post([{"src": "A", "feats": ["a b"]}])[0] == 400

    served([settings], use)


def test_refusals_are_one_line_of_plain_text(folder: Path) -> None:
    def use(client: Client) -> None:
        for body, start in [
            (b"", b"400 Bad Request - not valid JSON"),
            (b"null", b"400 Bad Request - the request must be a list"),
            ([{"src": "a"}, {}], b"400 Bad Request - item 2 has no 'src'"),
            ([{"src": "a\ud800"}], b"400 Bad Request - item 1: the text is not valid Unicode"),
            ([{"src": "a", "id": 2}], b"400 Bad Request - there is no model 2"),
        ]:
            status, reason = client.post(body)
            assert (status, reason[: len(start)]) == (400, start)
            assert b"\n" not in reason
        assert client.request("GET", PATH)[0] == client.request("PUT", PATH, b"[]")[0] == 405
        assert client.request("GET", "/nowhere") == (404, b"404 Not Found")
        assert client.request("POST", "/health", b"") == (405, b"405 Method Not Allowed")
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        assert client.post([{"src": "a"}])[0] == 200

    served([model()], use)


def test_limits(folder: Path) -> None:
    limits = LimitOptions(max_request_size=200, max_sentences=3, max_src_tokens=5, request_timeout=0.3)

    def use(client: Client) -> None:
        assert client.post([{"src": "a"}] * 4)[0] == 413
        assert client.post([{"src": "a " * 6}])[1].endswith(
            b"item 1 has 6 tokens, but at most 5 can be translated"
        )
        assert client.post(b" " * 201) == (413, b"413 " + client.post(b" " * 400)[1][4:])
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n[{{".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        assert client.post([{"src": "a"}])[0] == 200

    served([model()], use, limits=limits)


SAMPLING = {"beam_size": 1, "random_sampling_topk": -1}


@pytest.mark.parametrize(
    "settings",
    [
        lambda: model(n_best=2),
        lambda: model(n_best=2, **SAMPLING),
        lambda: model(("model.pt", "other.pt"), block_ngram_repeat=2, min_length=2),
    ],
    ids=["beam search", "sampling", "ensemble"],
)
def test_shared_batches_give_the_answers_of_lone_requests(settings, folder: Path) -> None:
    """The answers are equal byte for byte, and the requests do share batches."""
    requests = [
        json.dumps(
            [{"src": " ".join("abcq"[(n * k) % 4] for k in range(1, n % 17 + 2)), "withAttn": True}]
        ).encode()
        for n in range(40)
    ]

    def use(client: Client) -> None:
        alone = [client.post(request) for request in requests]
        before = client.pool.metrics.text().decode()
        with ThreadPoolExecutor(20) as executor:
            together = list(executor.map(client.post, requests))
        assert together == alone
        assert {status for status, _ in alone} == {200}
        after = client.pool.metrics.text().decode()
        assert batches(after) - batches(before) < 30 <= batches(before)

    served([settings()], use, limits=LimitOptions(batch_wait=0.02))


def test_samples_depend_on_the_place_in_the_request(folder: Path) -> None:
    def use(client: Client) -> None:
        asked = [{"src": "a b c"}] * 3
        once = client.translate(asked)
        assert client.translate(asked) == once
        assert client.translate(asked[:1]) == once[:1]
        assert len({json.dumps(answer) for answer in once}) == 3

    served([model(max_sent_length=20, **SAMPLING)], use)


def batches(metrics: str) -> int:
    [line] = [line for line in metrics.split("\n") if line.startswith("onmt_batch_sentences_count")]
    return int(float(line.split()[-1]))


def slow(seconds: float) -> TokenizerHooks:
    """Hooks that delay every sentence of a batch."""
    return TokenizerHooks(detokenize=lambda words, features: time.sleep(seconds))


def test_a_full_queue_and_a_client_that_goes_away(folder: Path) -> None:
    limits = LimitOptions(max_waiting=2)

    def use(client: Client) -> None:
        with ThreadPoolExecutor(1) as executor:
            running = executor.submit(client.post, [{"src": "a"}])
            with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
                body = b'[{"src": "b"}]'
                head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                wait_until(lambda: client.pool.pending == 2)
                status, reason = client.post([{"src": "c"}])
                assert (status, reason) == (
                    503,
                    b"503 Service Unavailable - 2 sentences are waiting already; try again later",
                )
            wait_until(lambda: client.pool.pending < 2)  # the place in the queue is free again
            assert running.result()[0] == 200
        assert client.post([{"src": "c"}])[0] == 200
        assert 'onmt_requests_total{status="499"} 1.0' in client.pool.metrics.text().decode()

    served([model(hooks=slow(0.3), batch_size=1)], use, limits=limits)


def wait_until(condition) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("waited for nothing")


def test_an_answer_that_takes_too_long(folder: Path) -> None:
    def use(client: Client) -> None:
        assert client.post([{"src": "a"}]) == (503, b"503 Service Unavailable - no answer within 0.2 seconds")

    served([model(hooks=slow(0.5))], use, limits=LimitOptions(request_timeout=0.2))


def test_a_failing_hook_fails_for_its_sentence_only(folder: Path) -> None:
    def fail(words: list[str], features: list[list[str]]) -> None:
        raise RuntimeError("no DataError, but a bug")

    def use(client: Client) -> None:
        status, reason = client.post([{"src": "a"}])
        assert (status, reason) == (500, b"500 Internal Server Error - an error of the server, see its log")
        assert client.get("/health")["status"] == "ok"

    served([model(hooks=TokenizerHooks(detokenize=fail))], use)


def test_several_models(folder: Path) -> None:
    settings = [model(), model("other.pt", with_attention=True), model(("model.pt", "./gone.pt"))]
    Path("gone.pt").write_text("no model", encoding="utf-8")

    def use(client: Client) -> None:
        assert [one["loaded"] for one in client.get("/translator/models")] == [False] * 3
        [[first], [same]] = client.translate([{"src": "a b c"}, {"src": "a b c", "id": 2}])
        assert first == same
        [[second]] = client.translate([{"src": "a b c", "id": 2}])
        assert second["pred_score"] != first["pred_score"]
        assert second.keys() - first.keys() == {"attn"}
        status, reason = client.post([{"src": "a", "id": 3}])
        assert status == 503
        assert reason.startswith(b"503 Service Unavailable - model 3 cannot be loaded: 'gone.pt'")
        assert str(folder).encode() not in reason
        for number in (0, 4, -1, "1", 1.5):
            assert client.post([{"src": "a", "id": number}])[0] == 400
        models = client.get("/translator/models")
        assert [(one["id"], one["model"], one["loaded"]) for one in models] == [
            (1, "model.pt", True),
            (2, "other.pt", True),
            (3, "model.pt, gone.pt", False),
        ]
        assert client.get("/health")["loaded"] == 2

    served(settings, use, unload_time=60, with_tokens=False)


def test_too_little_memory_on_a_gpu(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (3_100_000_000, 8_000_000_000))

    def use(client: Client) -> None:
        status, reason = client.post([{"src": "a"}])
        assert status == 503
        assert reason == b"503 Service Unavailable - too little GPU memory is free to load model 1"

    served([model(place=Place(torch.device("cuda", 0), Products()))], use, unload_time=60)


def test_idle_models_are_unloaded_and_files_read_anew(folder: Path) -> None:
    shutil.copy("other.pt", "changing.pt")

    def use(client: Client) -> None:
        before = client.translate([{"src": "a b c"}])
        Path("new.pt").write_bytes(Path("model.pt").read_bytes())
        Path("new.pt").replace("changing.pt")
        served_model = client.pool.models[0]
        assert served_model.is_loaded
        assert client.translate([{"src": "a b c"}]) == before
        wait_until(lambda: not served_model.is_loaded)
        assert client.translate([{"src": "a b c"}]) != before

    served([model("changing.pt")], use, unload_time=0.5)


def test_a_model_in_use_is_not_unloaded(folder: Path) -> None:
    def use(client: Client) -> None:
        [served_model] = client.pool.models
        with ThreadPoolExecutor(1) as executor:
            assert client.post([{"src": "a"}])[0] == 200
            running = executor.submit(client.post, [{"src": "a"}])
            while not running.done():
                assert served_model.is_loaded
                time.sleep(0.01)
            assert running.result()[0] == 200
        wait_until(lambda: not served_model.is_loaded)

    served([model(hooks=slow(0.6))], use, unload_time=0.2)


def test_a_request_on_its_way_when_the_end_begins(folder: Path) -> None:
    def use(client: Client) -> None:
        connection = HTTPConnection("127.0.0.1", client.port, timeout=10)
        connection.request("POST", PATH, b'[{"src": "a"}]')
        assert len(connection.getresponse().read()) > 0
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        connection.request("POST", PATH, b'[{"src": "a"}]')
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
        answer.read()
        connection.close()
        with pytest.raises(OSError, match="refused"):
            client.post([{"src": "a"}])

    served([model()], use, ends_itself=True)


def test_metrics(folder: Path) -> None:
    def use(client: Client) -> None:
        client.translate([{"src": "a b"}, {"src": "c"}])
        client.post(b"x")
        status, text = client.request("GET", "/metrics")
        assert status == 200
        lines = text.decode().split("\n")
        for line in (
            'onmt_requests_total{status="200"} 1.0',
            'onmt_requests_total{status="400"} 1.0',
            "onmt_sentences_total 2.0",
            "onmt_source_tokens_total 3.0",
            "onmt_batch_sentences_sum 2.0",
            "onmt_request_seconds_count 2.0",
            "onmt_waiting_sentences 0.0",
            "onmt_models_loaded 1.0",
        ):
            assert line in lines

    served([model()], use)


def test_running_requests_are_finished_before_the_end(folder: Path) -> None:
    answers: list[tuple[int, bytes]] = []
    threads: list[threading.Thread] = []

    def use(client: Client) -> None:
        for _ in range(3):
            threads.append(threading.Thread(target=lambda: answers.append(client.post([{"src": "a"}]))))
            threads[-1].start()
        wait_until(lambda: client.pool.pending == 3)  # SIGTERM follows

    served([model(hooks=slow(0.2), batch_size=1)], use)
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 3
