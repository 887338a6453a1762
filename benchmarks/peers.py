"""Compare training and translation speed with OpenNMT-py, both through their own command lines.

`make bench-peers` creates a virtual environment for the other toolkit under build/peers, with stubs of
modules that it imports but does not need here, and runs both in turn: A B A B. Both have the same graph (two
bidirectional encoder layers, two decoder layers with input feeding and general attention), vocabularies,
number of sentences per batch and threads. Rates exclude start-up: training uses the rates logged after the
first report, translation the difference between two runs of different length.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.peers_options import PeersOptions
from benchmarks.report import machine
from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.constants import EOS, VERSION
from onmt.logger import Logger

PEER: Final = "OpenNMT-py==3.5.1"
_NEEDED: Final = ("configargparse", "pyyaml", "sacrebleu", "rapidfuzz", "pyonmttok", "six", "numpy")
_STUBS: Final = ("ctranslate2", "flask", "waitress", "ahocorasick", "fasttext", "spacy", "tensorboard")
_ROOT: Final = Path(__file__).parents[1]

Measurement = Callable[[], tuple[float, int]]
"""A function that returns a rate per second and the peak memory in bytes."""


def _peers(parsed: Parsed[PeersOptions], logger: Logger) -> None:
    """Compare the toolkits and write the report."""
    text = json.dumps(compare(parsed.options, logger), indent=2) + "\n"
    if parsed.options.output == "-":
        sys.stdout.write(text)
    else:
        Path(parsed.options.output).write_text(text, encoding="utf-8")


peers = Command(
    Script(
        name="benchmarks.peers",
        summary=f"Compares training and translation with {PEER}, which is installed into a folder of its "
        "own.",
        choose=lambda _: PeersOptions,
        data_on_stdout=lambda options: options.output == "-",
    ),
    _peers,
)


@dataclass(frozen=True)
class Finished:
    """A finished run of a command: seconds, peak memory of the process in bytes, and its output."""

    seconds: float
    peak_bytes: int
    log: str


def compare(options: PeersOptions, logger: Logger) -> dict[str, Any]:
    """All measurements, and the ratios of their medians."""
    options = replace(
        options,
        train_src=str(Path(options.train_src).resolve()),
        train_tgt=str(Path(options.train_tgt).resolve()),
        test_src=str(Path(options.test_src).resolve()),
    )
    folder = Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    bench = _Bench(options, folder, logger)
    bench.prepare()
    rows: dict[str, list[float]] = {}
    memory: dict[str, list[int]] = {}
    for number in range(1, options.rounds + 1):
        for name, measure in bench.measurements().items():
            value, peak = measure()
            rows.setdefault(name, []).append(value)
            memory.setdefault(name, []).append(peak)
            logger.info(f"Round {number}: {name}: {value:.1f} per second, {peak / 2**30:.2f} GiB")
    medians = {name: statistics.median(values) for name, values in rows.items()}
    peaks = {name: statistics.median(values) for name, values in memory.items()}
    ratios = {
        name: medians[name] / medians[f"peer {name.partition(' ')[0]}"]
        for name in medians
        if not name.startswith("peer")
    }
    for name, ratio in ratios.items():
        logger.info(f"{name}: {medians[name]:.1f} per second, {ratio:.2f} times {PEER}")
    return {
        "version": VERSION,
        "peer": PEER,
        "machine": machine(torch.device("cpu")),
        "options": asdict(options),
        "commands": bench.commands,
        "rates": rows,
        "medians": medians,
        "ratios": ratios,
        "peak_bytes": peaks,
    }


class _Bench:
    """Runs the commands of both toolkits in one folder, and records them in `commands`."""

    def __init__(self, options: PeersOptions, folder: Path, logger: Logger) -> None:
        self._options = options
        self._folder = folder
        self._logger = logger
        self._python = folder / "venv/bin/python"
        self.commands: dict[str, str] = {}

    def prepare(self) -> None:
        """Install the peer, prepare the data, and train both models for one step, to translate with."""
        self._install()
        for lines_wanted in (self._options.batch_size, self._options.lines):
            lines = Path(self._options.test_src).read_text(encoding="utf-8").split("\n")[:lines_wanted]
            (self._folder / f"test{lines_wanted}").write_text("\n".join([*lines, ""]), encoding="utf-8")
        data = ["-train_src", self._options.train_src, "-train_tgt", self._options.train_tgt]
        few = f"test{self._options.batch_size}"
        data += ["-valid_src", few, "-valid_tgt", few]
        lengths = ["-src_seq_length", "100", "-tgt_seq_length", "100"]
        self._ours("preprocess", "preprocess.py", *data, *lengths, "-save_data", "data")
        for side in ("src", "tgt"):
            lines = (self._folder / f"data.{side}.dict").read_text(encoding="utf-8").split("\n")[4:-1]
            words = [line.split(" ")[0] for line in lines]
            (self._folder / f"peer.{side}.vocab").write_text("\n".join([*words, ""]), encoding="utf-8")
        self._train_ours("one step", 1, "fp32")
        self._forbid_ends()
        self._train_peer("peer one step", 1)

    def measurements(self) -> dict[str, Measurement]:
        """The measurements by name. `peer X` is the reference for every other name that begins with X, as
        `peer training` is for `training bf16`."""
        found: dict[str, Measurement] = {"peer training": partial(self._training, "peer")}
        for precision in ("fp32", "bf16"):
            found[f"training {precision}"] = partial(self._training, precision)
        for name, beam in (("beam5", 5), ("greedy", 1)):
            found[f"peer {name}"] = partial(self._translation, "peer", beam)
            for precision in ("fp32", "bf16"):
                found[f"{name} {precision}"] = partial(self._translation, precision, beam)
        return found

    def _training(self, which: str) -> tuple[float, int]:
        """Source words per second: the median of the rates logged after the first report."""
        if which == "peer":
            finished = self._train_peer("peer training", self._options.steps)
            rates = [float(rate) for rate in re.findall(r"; *(\d+)/ *\d+ tok/s", finished.log)]
        else:
            finished = self._train_ours(f"training {which}", self._options.steps, which)
            rates = [float(rate) for rate in re.findall(r"Source tokens/s (\d+)", finished.log)]
        return statistics.median(rates[1:]), finished.peak_bytes

    def _translation(self, which: str, beam: int) -> tuple[float, int]:
        """Target words per second without start-up, from the difference between two runs."""
        few, many = self._options.batch_size, self._options.lines
        short, long = (self._translate(which, beam, lines) for lines in (few, many))
        words = (many - few) * self._options.words
        return words / (long.seconds - short.seconds), long.peak_bytes

    def _forbid_ends(self) -> None:
        """Save a copy of our model that never ends a sentence by itself; the peer has -min_length instead."""
        (path,) = self._folder.glob("one_epoch1_*.pt")
        content = load_checkpoint(path)
        content["weights"]["generator.biases.0"][EOS] = -1e4
        save_checkpoint(self._folder / "endless.pt", content)

    def _translate(self, which: str, beam: int, lines: int) -> Finished:
        options, output = self._options, self._folder / "output"
        common = ["-src", f"test{lines}", "-output", str(output), "-beam_size", str(beam)]
        common += ["-batch_size", str(options.batch_size)]
        if which == "peer":
            forced = ["-min_length", str(options.words), "-max_length", str(options.words), "-gpu", "-1"]
            call = "from onmt.bin.translate import main; main()"
            finished = self._peer(f"peer beam {beam}", call, "-model", "peer_step_1.pt", *common, *forced)
        else:
            forced = ["-max_sent_length", str(options.words), "-precision", which]
            name = f"beam {beam} {which}"
            finished = self._ours(name, "translate.py", "-model", "endless.pt", *common, *forced)
        found = output.read_text(encoding="utf-8").split("\n")[:-1]
        wrong = [line for line in found if len(line.split(" ")) != options.words]
        if len(found) != lines or len(wrong) > lines // 50:
            raise RuntimeError(f"{which}: {len(found)} lines, {len(wrong)} of another length than wanted")
        return finished

    def _train_ours(self, name: str, steps: int, precision: str) -> Finished:
        options = self._options
        argv = [
            "-data",
            "data",
            "-save_model",
            "one" if steps == 1 else "many",
            "-encoder_type",
            "dbrnn",
            "-brnn_merge",
            "concat",
        ]
        argv += ["-layers", "2", "-rnn_size", str(options.size), "-word_vec_size", str(options.size)]
        argv += ["-dropout", "0.3", "-optim", "adam", "-learning_rate", "0.0002", "-max_grad_norm", "5"]
        argv += ["-max_batch_size", "64", "-max_tokens", "100000", "-save_every", "0"]
        argv += ["-report_every", str(options.report_every), "-precision", precision]
        argv += ["-train_steps", str(steps), "-validation_metric", "loss"]
        return self._ours(name, "train.py", *argv)

    def _train_peer(self, name: str, steps: int) -> Finished:
        options = self._options
        config = {
            "data": {"corpus": {"path_src": options.train_src, "path_tgt": options.train_tgt}},
            "src_vocab": "peer.src.vocab",
            "tgt_vocab": "peer.tgt.vocab",
            "save_model": "peer",
            "overwrite": True,
            "encoder_type": "brnn",
            "layers": 2,
            "hidden_size": options.size,
            "word_vec_size": options.size,
            "dropout": [0.3],
            "optim": "adam",
            "learning_rate": 0.0002,
            "max_grad_norm": 5,
            "batch_type": "sents",
            "batch_size": 64,
            "bucket_size": 32768,
            "num_workers": 0,
            "src_seq_length": 100,
            "tgt_seq_length": 100,
            "train_steps": steps,
            "valid_steps": 10**9,
            "save_checkpoint_steps": steps if steps == 1 else 10**9,
            "report_every": options.report_every,
        }
        (self._folder / "peer.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        return self._peer(name, "from onmt.bin.train import main; main()", "-config", "peer.yaml")

    def _install(self) -> None:
        done = self._folder / "installed"
        if done.exists():
            return
        self._logger.info(f"Installing {PEER} into {self._folder / 'venv'}")
        venv.create(self._folder / "venv", with_pip=True)
        pip = [str(self._python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"torch=={torch.__version__.partition('+')[0]}", *_NEEDED], check=True)
        subprocess.run([*pip, "--no-deps", PEER], check=True)
        stubs = self._folder / "stubs"
        stubs.mkdir(exist_ok=True)
        for name in _STUBS:
            (stubs / f"{name}.py").write_text(
                "def __getattr__(name):\n    if name.startswith('__'):\n        raise AttributeError(name)\n"
                "    return object\n",
                encoding="utf-8",
            )
        done.touch()

    def _ours(self, name: str, script: str, *argv: str) -> Finished:
        return self._run(name, [sys.executable, str(_ROOT / script), *argv], {})

    def _peer(self, name: str, call: str, *argv: str) -> Finished:
        environment = {
            "PYTHONPATH": str(self._folder / "stubs"),
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # the peer pickles its options
        }
        return self._run(name, [str(self._python), "-c", call, *argv], environment)

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> Finished:
        """Run a command in the folder. Raises RuntimeError, with the end of its output, if it fails."""
        self.commands[name] = " ".join(command)
        log = self._folder / "log"
        threads = {"OMP_NUM_THREADS": str(self._options.threads)}
        started = time.perf_counter()
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **threads, **environment},
            )
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        text = log.read_text(encoding="utf-8", errors="replace")
        if status != 0:
            raise RuntimeError(f"{name} failed: {' '.join(command)}\n{text[-2000:]}")
        return Finished(seconds, usage.ru_maxrss * 1024, text)


if __name__ == "__main__":
    sys.exit(peers())
