"""The three servers through their command lines."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
import zmq

from onmt.commands.servers import rest_multi_models, rest_translation_server, translation_server

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(script: str, *argv: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Run a server; yield its process, and its address from the log."""
    command = [sys.executable, str(ROOT / "tools" / script), "-port", "0", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            log = ""
            while not (address := re.search(r"(?:http|tcp)://\S+", log)):
                line = process.stdout.readline()
                assert line, log
                log += line
            yield process, address[0]
        finally:
            process.kill()


def ended(process: subprocess.Popen, number: signal.Signals) -> tuple[int, str]:
    """Send a server the signal; return its exit code and the rest of its log."""
    process.send_signal(number)
    log, _ = process.communicate(timeout=20)
    return process.returncode, log


def post(address: str, content: object) -> object:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=20)
    connection.request("POST", "/translator/translate", json.dumps(content))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_one_model_over_rest(work: Path) -> None:
    argv = ("-model", "words.pt", "-mode", "space", "-max_sent_length", "5", "-withAttn", "-n_best", "2")
    with running("rest_translation_server.py", *argv) as (process, address):
        [ranks] = post(address, [{"src": "a b c"}])
        assert [one["n_best"] for one in ranks] == [1, 2]
        assert ranks[0]["src_tokens"] == ["a", "b", "c"]
        code, log = ended(process, signal.SIGTERM)
    assert (code, "Traceback" in log) == (0, False)


@pytest.mark.slow
def test_a_server_outlives_the_reader_of_its_log(work: Path) -> None:
    (work / "models.yml").write_text("- model: words.pt\n  mode: space\n- model: none.pt\n", encoding="utf-8")
    with running("rest_multi_models.py", "-model_config", "models.yml") as (process, address):
        assert process.stdout is not None
        process.stdout.close()
        [[answer]] = post(address, [{"src": "a"}])
        assert answer["src"] == "a"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, 141)


def test_several_models_over_rest(work: Path) -> None:
    (work / "models.yml").write_text(
        "- model: words.pt\n  mode: space\n- model: words.pt\n  max_sent_length: 1\n", encoding="utf-8"
    )
    with running("rest_multi_models.py", "-model_config", "models.yml", "-unload_time", "0") as (
        process,
        address,
    ):
        assert address.startswith("http://127.0.0.1:")
        [[answer]] = post(address, [{"src": "a b c", "id": 2}])
        assert answer["src"] == "a b c"
        assert "attn" not in answer
        time.sleep(0.1)
        code, log = ended(process, signal.SIGINT)
    assert code == 0
    lines = [line.split("] ")[-1] for line in log.splitlines()]
    assert lines[:4] == [
        "receiving request for model id 2",
        "Loading model id 2",
        "Start Tokenization",
        "sending response model id 2",
    ]
    assert "unloading model 2" in lines


def test_one_model_over_zeromq(work: Path) -> None:
    with running("translation_server.py", "-model", "words.pt", "-log_level", "DEBUG") as (process, address):
        with zmq.Context() as context, context.socket(zmq.REQ) as client:
            client.connect(address)
            client.send_string('[{"src":"a b"}]')
            [[answer]] = json.loads(client.recv())
        assert answer["src"] == "a b"
        code, log = ended(process, signal.SIGTERM)
    assert code == 0
    assert 'Received... [{"src":"a b"}]' in log
    assert "Returning... [[{" in log


@pytest.mark.parametrize(
    ("main", "argv", "code", "message"),
    [
        (rest_translation_server, ["-model", "words.pt", "-port", "70000"], 2, "a number from 0 to 65535"),
        (rest_translation_server, ["-model", "tagger.pt"], 1, "tagger.pt: this is a seqtagger model"),
        (rest_translation_server, ["-model", "words.pt", "-dump_input_encoding"], 2, "for translate.py"),
        (rest_translation_server, ["-model", "words.pt", "-case_feature"], 2, "-case_feature needs a model"),
        (rest_translation_server, ["-model", "words.pt", "-host", "203.0.113.1"], 1, "-host 203.0.113.1"),
        (rest_multi_models, [], 1, "test/data/rest_config.yml: cannot read"),
        (rest_multi_models, ["-model_config", "src"], 1, "src: expected a list of models"),
        (rest_multi_models, ["-model_config", "src", "-port", "-1"], 2, "a number from 0 to 65535"),
        (translation_server, ["-model", "lm.pt"], 1, "lm.pt: this is a lm model, not a translation model"),
        (translation_server, ["-model", "words.pt", "-save_beam_to", "x"], 2, "for translate.py"),
    ],
)
def test_failures(main, argv: list[str], code: int, message: str, work: Path, capfd) -> None:
    assert main(argv) == code
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
