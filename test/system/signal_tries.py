"""Send signals to the toolkit's programs at chosen moments, and judge how they end."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onmt.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
TERM, INT, USR1, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP
KINDS = {
    "TERM": (TERM,),
    "INT": (INT,),
    "USR1": (USR1,),
    "HUP": (HUP,),
    "pair": (INT, TERM),
    "five": (INT, INT, INT, INT, INT),
}
TWO_REPLICAS = """
import sys
from onmt.starting import hold_signals
if __name__ == "__main__":
    hold_signals()
    import torch
    import onmt.training.run as run
    run.select_devices = lambda options, logger: [torch.device("cpu")] * 2
    from onmt.commands.pipeline import train
    sys.argv[0] = "train.py"
    sys.exit(train())
"""
MOMENTS = {
    "step": r"; Iteration \d+/",
    "validation": "Evaluating on",
    "save": "Saving checkpoint",
    "start-up": None,
}
WATCHDOG = 120  # seconds


@dataclass
class Outcome:
    """How a program ended. orphans: number of its processes still running; faults: what is wrong."""

    code: int
    log: str
    errors: str
    orphans: int
    faults: list[str]


class Program:
    """A program in its own session, marked so that all processes that it starts can be found."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self._mark = f"SIGNAL_TRY={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        environment = {**os.environ, name: value, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment["TMPDIR"] = str(temporary_folder(folder))
        self._log_path = folder / "stdout"
        with self._log_path.open("wb") as out, (folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=err, env=environment, start_new_session=True
            )

    @property
    def log(self) -> str:
        """The program's standard output so far."""
        return self._log_path.read_text(encoding="utf-8")

    def wait_for(self, pattern: str, times: int = 1) -> None:
        """Return when the log shows the pattern this many times, or the program has ended."""
        end = time.monotonic() + WATCHDOG
        while len(re.findall(pattern, self.log)) < times and self.process.poll() is None:
            if time.monotonic() > end:
                self._kill()
                raise AssertionError(f"no '{pattern}' in:\n{self.log}")
            time.sleep(0.001)

    def send(self, numbers: Sequence[int], to_group: bool, gap: float = 0.0) -> None:
        """Send the signals one after the other."""
        for place, number in enumerate(numbers):
            time.sleep(gap if place else 0.0)
            with contextlib.suppress(ProcessLookupError):
                if to_group:
                    os.killpg(self.process.pid, number)
                else:
                    self.process.send_signal(number)

    def end(self) -> Outcome:
        """Wait for the program to end, then up to five seconds for its children; kill those still running."""
        try:
            code = self.process.wait(WATCHDOG)
        except subprocess.TimeoutExpired:
            self._kill()
            raise
        end = time.monotonic() + 5
        while self.alive() and time.monotonic() < end:
            time.sleep(0.05)
        orphans = len(self.alive())
        self._kill()
        errors = (self.folder / "stderr").read_text(encoding="utf-8")
        return Outcome(code, self.log, errors, orphans, [])

    def alive(self) -> list[int]:
        """The running processes of this program, found by the mark in their environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                state = (path.parent / "stat").read_text().rpartition(")")[2].split()[0]
                if self._mark.encode() in path.read_bytes() and state != "Z":
                    found.append(int(path.parent.name))
        return found

    def _kill(self) -> None:
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def judge(outcome: Outcome, numbers: Sequence[int], folder: Path, name: str) -> None:
    """Record a program's faults: it must write one line, exit with the documented code and leave nothing."""
    if -outcome.code in numbers and not outcome.errors and not outcome.log:
        return  # killed before the interpreter's start; a shell reports 128 + n here too
    if outcome.code not in {128 + number for number in numbers}:
        outcome.faults.append(f"exit code {outcome.code}")
    if not re.search(rf"(^|INFO[^\n]*\n){name}: interrupted[^\n]*\n$", outcome.errors):
        outcome.faults.append(f"stderr: {outcome.errors!r}")
    if "Traceback" in outcome.errors + outcome.log:
        outcome.faults.append("traceback")
    if outcome.orphans:
        outcome.faults.append(f"{outcome.orphans} orphans")
    judge_temporary_files(outcome, folder)


def temporary_folder(folder: Path) -> Path:
    """Create and return the folder in which programs put temporary files that have no better place."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return temporary


def judge_temporary_files(outcome: Outcome, folder: Path) -> None:
    """Record temporary files that were left behind."""
    left = [path.name for path in (*folder.rglob("*.tmp*"), *temporary_folder(folder).iterdir())]
    if left:
        outcome.faults.append(f"temporary files: {left}")


def judge_training(outcome: Outcome, folder: Path) -> None:
    """Record faults of a training: its state must be saved, and the line must say where."""
    told = re.search(
        r"interrupted before epoch (\d+), iteration (\d+); -train_from (\S+) -con", outcome.errors
    )
    if told is None:
        if re.search(MOMENTS["step"] or "", outcome.log):
            outcome.faults.append("not saved")
        return
    training = load_checkpoint(folder / told[3])["training"]
    if (training["epoch"], training["iteration"]) != (int(told[1]), int(told[2])):
        outcome.faults.append(f"saved {training['epoch']}, {training['iteration']}: {outcome.errors!r}")


def train_command(data: str, folder: Path, replicas: int) -> list[str]:
    """The command of a training that runs until stopped, with frequent reports, validations and saves."""
    script = str(ROOT / "train.py")
    if replicas == 2:
        script = str(folder / "two.py")
        Path(script).write_text(TWO_REPLICAS, encoding="utf-8")
    options = (
        "-save_model m -rnn_size 8 -word_vec_size 6 -layers 1 -max_batch_size 10 -end_epoch 100000 "
        "-report_every 1 -save_every 4 -keep_checkpoint_max 1 -dropout 0"
    )
    return [sys.executable, script, "-data", data, *options.split()]


def try_training(
    data: str, folder: Path, replicas: int, moment: str, kind: str, to_group: bool, draw: random.Random
) -> Outcome:
    """Train, send the signals at the given moment, and judge the outcome."""
    program = Program(train_command(data, folder, replicas), folder)
    pattern = MOMENTS[moment]
    if pattern is None:
        time.sleep(draw.uniform(0.02, 0.15) if draw.random() < 0.5 else draw.uniform(0.15, 3.0))
    else:
        program.wait_for(pattern, draw.randint(1, 5))
        time.sleep(draw.uniform(0, 0.01))
    program.send(KINDS[kind], to_group, draw.choice((0.0, 0.001, 0.02)))
    outcome = program.end()
    judge(outcome, KINDS[kind], folder, "train.py")
    judge_training(outcome, folder)
    return outcome


def try_program(
    command: Sequence[str], folder: Path, kind: str, to_group: bool, delay: float, name: str
) -> Outcome:
    """Start a program that writes its output at its end, send signals after a delay, judge the outcome."""
    before = {temporary_folder(folder), *folder.rglob("*")}
    program = Program(command, folder)
    time.sleep(delay)
    program.send(KINDS[kind], to_group, 0.001)
    outcome = program.end()
    judge(outcome, KINDS[kind], folder, name)
    made = {path.name for path in set(folder.rglob("*")) - before} - {"stdout", "stderr", "out"}
    if made:
        outcome.faults.append(f"half an output: {sorted(made)}")
    return outcome


def try_killing_the_parent(command: Sequence[str], folder: Path, ready: str | float, number: int) -> Outcome:
    """End only the parent process, as the system may; its children must end too."""
    program = Program(command, folder)
    if isinstance(ready, str):
        program.wait_for(ready, 3)
    else:
        time.sleep(ready)
    children = len(program.alive()) - 1
    program.send((number,), to_group=False)
    outcome = program.end()
    judge_temporary_files(outcome, folder)
    if children < 1:
        outcome.faults.append("no children were there")
    if outcome.orphans:
        outcome.faults.append(f"{outcome.orphans} orphans of {children}")
    if "Traceback" in outcome.errors:
        outcome.faults.append(f"traceback: {outcome.errors}")
    return outcome
