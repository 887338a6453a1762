"""The examples of docs/serving.md work against running servers."""

import re
import shlex
import subprocess
from pathlib import Path

import test_zeromq
import yaml
from rest_serving import Client, model, served

from onmt.serving.options import read_model_config

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
EXECUTED = re.findall(r"<!-- executed by .*? -->\n```python\n(.*?)```", PAGE, re.DOTALL)


def test_python_and_curl_over_http(folder: Path, capsys) -> None:
    [curl] = re.findall(r"```sh\n(curl .*?)\n```", PAGE)

    def use(client: Client) -> None:
        [[answer]] = client.translate([{"src": "a b c"}])
        address = f"127.0.0.1:{client.port}"
        exec(EXECUTED[0].replace("127.0.0.1:7784", address), {})
        assert capsys.readouterr().out == answer["tgt"] + "\n"
        argv = shlex.split(curl.replace("127.0.0.1:7784", address))
        done = subprocess.run([*argv, "-s"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith('[[{"src":"3 _ m a r c h')

    served([model()], use)


def test_python_over_zeromq(folder: Path, capsys) -> None:
    def use(address: str) -> None:
        exec(EXECUTED[1].replace("tcp://127.0.0.1:5556", address) + "socket.close()\n", {})
        assert capsys.readouterr().out.startswith('[[{"src":"a b c"')

    test_zeromq.served(use)


def test_the_file_of_models(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "models.yml"
    path.write_text(example, encoding="utf-8")
    first, second = read_model_config(str(path))
    assert first[0].mode == "aggressive"
    assert second[1] == set(yaml.safe_load(example)[1])
