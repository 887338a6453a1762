"""A program that a signal ends saves what it trained, says so in one line and leaves nothing behind."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import signal_tries as tries

from onmt.commands.pipeline import preprocess

ROOT = Path(__file__).resolve().parents[2]
TRIES = 20
LINES = 1_200_000  # enough text to keep several workers busy for seconds


def write_lines(path: Path, count: int, most: int, words: str = "abcdefgh") -> str:
    draw = random.Random(path.name)
    block = [" ".join(draw.choices(words, k=draw.randint(1, most))) for _ in range(min(count, 10_000))]
    path.write_text(("\n".join(block) + "\n") * (count // len(block)), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The prefix of prepared pairs of sentences."""
    folder = tmp_path_factory.mktemp("data")
    argv = ["-save_data", str(folder / "tiny")]
    for split, size in (("train", 120), ("valid", 30)):
        for side in ("src", "tgt"):
            argv += [f"-{split}_{side}", write_lines(folder / f"{split}.{side}", size, 6)]
    assert preprocess(argv) == 0
    return str(folder / "tiny")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file that takes seconds to read."""
    return write_lines(tmp_path_factory.mktemp("text") / "long", LINES, 25)


def faults(outcomes: list[tuple[str, tries.Outcome]]) -> list[str]:
    return [f"{what}: {outcome.faults}" for what, outcome in outcomes if outcome.faults]


def test_a_training_is_saved(data: str, tmp_path: Path) -> None:
    outcome = tries.try_training(data, tmp_path, 1, "step", "pair", True, random.Random(1))
    assert outcome.faults == []


def test_a_closed_pipe_does_not_end_a_training(data: str, tmp_path: Path) -> None:
    command = tries.train_command(data, tmp_path, 1)
    command[command.index("100000")] = "2"
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "warning: cannot write the log (Broken pipe); going on\n")
    assert list(tmp_path.glob("m_epoch2_*.pt"))


@pytest.mark.slow
@pytest.mark.parametrize("moment", tries.MOMENTS)
@pytest.mark.parametrize(("replicas", "to_group"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("kind", tries.KINDS)
def test_every_signal_saves_at_any_time(
    data: str, tmp_path: Path, moment: str, replicas: int, to_group: bool, kind: str
) -> None:
    draw = random.Random(f"{moment} {replicas} {to_group} {kind}")
    outcomes = []
    for number in range(TRIES):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcome = tries.try_training(data, folder, replicas, moment, kind, to_group, draw)
        outcomes.append((str(number), outcome))
    assert faults(outcomes) == []


def programs(text: str, folder: Path) -> dict[str, list[str]]:
    """Command lines that start workers, by script name."""
    both = [f"-{split}_{side}" for split in ("train", "valid") for side in ("src", "tgt")]
    files = [word for option in both for word in (option, text)]
    tokenize = f"exec {sys.executable} {ROOT}/tools/tokenize.py -nparallel 3 -joiner_annotate < {text}"
    return {
        "preprocess.py": [
            *(sys.executable, str(ROOT / "preprocess.py"), *files),
            *("-preprocess_pthreads", "3", "-save_data", str(folder / "prepared")),
        ],
        "tokenize.py": ["sh", "-c", tokenize],
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["preprocess.py", "tokenize.py", "translate.py"])
@pytest.mark.parametrize("to_group", [False, True])
@pytest.mark.parametrize("kind", tries.KINDS)
def test_other_programs_end_and_leave_nothing(
    data: str, text: str, tmp_path: Path, name: str, to_group: bool, kind: str
) -> None:
    draw = random.Random(f"{name} {to_group} {kind}")
    command = programs(text, tmp_path)
    if name == "translate.py":
        train = tries.train_command(data, tmp_path, 1)
        train[train.index("100000")] = "1"
        subprocess.run(train, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        (model,) = tmp_path.glob("m_epoch1_*.pt")
        translate = [sys.executable, str(ROOT / "translate.py"), "-model", str(model), "-src", text]
        command[name] = [*translate, "-output", "out"]
    outcomes = []
    for number in range(TRIES):
        folder = tmp_path / str(number)
        folder.mkdir()
        delay = draw.uniform(0.02, 1.5)
        outcomes.append(
            (f"{delay:.3f}", tries.try_program(command[name], folder, kind, to_group, delay, name))
        )
    assert faults(outcomes) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
@pytest.mark.parametrize("name", ["preprocess.py", "tokenize.py", "two replicas"])
def test_no_child_outlives_its_parent(
    data: str, text: str, tmp_path: Path, name: str, number: signal.Signals
) -> None:
    draw = random.Random(f"{name} {number}")
    outcomes = []
    for place in range(TRIES):
        folder = tmp_path / str(place)
        folder.mkdir()
        if name == "two replicas":
            command = tries.train_command(data, folder, 2)
            outcome = tries.try_killing_the_parent(command, folder, tries.MOMENTS["step"] or "", number)
        else:
            delay = draw.uniform(1.0, 1.5)
            outcome = tries.try_killing_the_parent(programs(text, folder)[name], folder, delay, number)
        outcomes.append((str(place), outcome))
    assert faults(outcomes) == []


@pytest.mark.slow
def test_replicas_on_text_start_workers(text: str, tmp_path: Path) -> None:
    files = [word for side in ("train_src", "train_tgt") for word in (f"-{side}", text)]
    short = write_lines(tmp_path / "short", 100, 5)
    files += ["-valid_src", short, "-valid_tgt", short, "-train_steps", "3", "-eval_every_n_steps", "3"]
    command = tries.train_command("", tmp_path, 2)
    place = command.index("-data")
    command[place : place + 2] = [*files, "-preprocess_pthreads", "2"]
    for option in ("-end_epoch", "-save_every"):
        place = command.index(option)
        del command[place : place + 2]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.glob("m_epoch1_*.pt"))
