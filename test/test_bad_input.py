"""Every script refuses random bad command lines and configuration files with one line, never a traceback.

The generator puts a known fault into each command line, so that nothing is ever executed.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from onmt.commandline.document import commands
from onmt.commandline.schema import Kind, declared_options

REPOSITORY = Path(__file__).parents[1]
COMMANDS = commands()
IN_PROCESS = 1000
PROCESSES = 50


class BadCommandLines:
    """Draws command lines that a script must refuse; `folder` is for files that they need."""

    def __init__(self, script, folder, rng):
        self.rng = rng
        self.folder = folder
        self.options = list(declared_options(script.choose({})))
        self.flags = {option.flag for option in self.options} | {"config", "save_config"}
        self.by_flag = [option for option in self.options if not option.info.positional]
        self.scalars = [option for option in self.by_flag if not option.is_list]
        self.makers = [
            self.unknown_flag,
            self.prefix,
            self.duplicate,
            self.missing_value,
            self.wrong_type,
            self.out_of_range,
            self.left_over,
            self.missing_file,
            self.config,
            self.soup,
        ]

    def draw(self):
        """Draw a bad command line: a random fault, or an unknown flag if no option can have that fault."""
        fault = self.rng.choice(self.makers)()
        return fault if fault is not None else self.unknown_flag()

    def word(self):
        """Draw a text that is not a flag."""
        alphabet = "ab1 .,=#\"'\\/%￭é\t\n\u2028\udc80"
        text = "".join(self.rng.choices(alphabet, k=self.rng.randrange(8)))
        return (
            text if self.rng.random() < 0.8 else self.rng.choice(["-1", "-.5", "1e999", "inf", "-", "0x", ""])
        )

    def unknown_name(self):
        while True:
            name = self.rng.choice("abxyz") + "".join(self.rng.choices("abst_=-1é", k=self.rng.randrange(12)))
            if name not in self.flags | {"h", "help", "md", "version"}:
                return name

    def unknown_flag(self):
        return [f"{self.rng.choice(['-', '--'])}{self.unknown_name()}", *self.words(3)]

    def words(self, most):
        return [self.word() for _ in range(self.rng.randrange(most))]

    def prefix(self):
        flag = self.rng.choice(self.by_flag).flag
        cut = flag[: self.rng.randrange(1, len(flag) + 1)]
        return None if cut in self.flags | {"h", "help", "md"} else [f"-{cut}", "1"]

    def duplicate(self):
        flag = f"-{self.rng.choice(self.scalars).flag}"
        return [flag, "1", f"-{flag}", "1"]

    def missing_value(self):
        option = self.rng.choice([option for option in self.by_flag if not option.takes_bare])
        return [f"-{option.flag}"]

    def wrong_type(self):
        checked = [option for option in self.by_flag if option.kind is not Kind.STRING or option.accepted]
        if not checked:
            return None
        option = self.rng.choice(checked)
        return [
            f"-{option.flag}",
            self.rng.choice(["x", "1.5.", "1_0", "nan", "", "tru", "٣", "--"]),
        ]

    def out_of_range(self):
        limited = [
            (option, value)
            for option in self.by_flag
            if option.info.valid is not None and option.kind in (Kind.INTEGER, Kind.NUMBER)
            for value in (-(10**9), 10**9)
            if option.info.valid((value,) if option.is_list else value) is not None
        ]
        if not limited:
            return None
        option, value = self.rng.choice(limited)
        return [f"-{option.flag}", str(value)]

    def left_over(self):
        positionals = len(self.options) - len(self.by_flag)
        return ["one"] * (positionals + self.rng.randrange(1, 4))

    def missing_file(self):
        missing = str(self.folder / "missing" / self.rng.choice("abc"))
        wrong = [missing, str(self.folder), f"{missing}.t7"]
        options = [
            option
            for option in self.by_flag
            if option.kind is Kind.STRING
            and not option.accepted
            and option.info.valid is not None
            and option.info.valid(missing) is not None
        ]
        return [f"-{self.rng.choice(options).flag}", self.rng.choice(wrong)] if options else None

    def config(self):
        """Name a configuration file that cannot be read, or that has a faulty line."""
        path = self.folder / f"{self.rng.randrange(10**9)}.conf"
        lines = [f"# {self.word()}".encode("utf-8", "replace").replace(b"\n", b" ") for _ in range(3)]
        flag = self.rng.choice(self.by_flag).flag
        lines.insert(
            self.rng.randrange(4),
            self.rng.choice(
                [
                    f"{self.unknown_name().replace('=', '')} = 1".encode(),
                    f"{flag} 1".encode(),
                    f"{flag} = \xff".encode("latin-1"),
                    f"{flag} = a\0".encode(),
                    f'{flag} = "open'.encode(),
                    f"{flag} = \\ud800 \ud800".encode("utf-8", "surrogatepass"),
                    b"= 1",
                    b"\xfe\xff\x00",
                ]
            ),
        )
        path.write_bytes(b"\n".join(lines))
        return [
            "-config",
            self.rng.choice([str(path), str(path), str(path), str(self.folder), f"{path}.missing"]),
        ]

    def soup(self):
        """Flags and words in any order, one of them unknown."""
        parts = [
            part
            for option in self.rng.sample(self.by_flag, k=min(4, len(self.by_flag)))
            for part in (f"-{option.flag}", *self.words(3))
        ]
        parts.insert(self.rng.randrange(len(parts) + 1), f"-{self.unknown_name()}")
        return parts


def bad_command_lines(name, folder, count):
    """`count` bad command lines for a command, the same in every run."""
    folder.mkdir(exist_ok=True)
    lines = BadCommandLines(COMMANDS[name].script, folder, random.Random(name))
    return [lines.draw() for _ in range(count)]


def is_one_line(name, code, errors):
    return (
        code in (1, 2)
        and errors.startswith(f"{name}.py: ")
        and errors.count("\n") == 1
        and errors.endswith("\n")
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_in_process(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[name]
    for argv in bad_command_lines(name, tmp_path / "files", -(-IN_PROCESS // len(COMMANDS))):
        code = command(argv)
        output = capsys.readouterr()
        assert is_one_line(name, code, output.err), (argv, output.err)
        assert output.out == ""
    assert os.listdir(tmp_path) == ["files"]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_as_processes(name, tmp_path):
    [launcher] = [*REPOSITORY.glob(f"{name}.py"), *(REPOSITORY / "tools").glob(f"{name}.py")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for argv in bad_command_lines(name, tmp_path / "files", -(-PROCESSES // len(COMMANDS))):
        done = subprocess.run(
            [sys.executable, str(launcher), *argv], cwd=tmp_path, env=environment, capture_output=True
        )
        assert is_one_line(name, done.returncode, done.stderr.decode("utf-8")), (argv, done.stderr)
        assert done.stdout == b""
    assert os.listdir(tmp_path) == ["files"]


def run_main(name, argv, capsys):
    """Run a script, which must succeed or fail with one line; return its exit code and standard error."""
    code = COMMANDS[name](argv)
    errors = capsys.readouterr().err
    assert code == 0 or is_one_line(name, code, errors), (argv, errors)
    return code, errors


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a small corpus, prepared data and a model, all undamaged."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "src").write_text("".join(f"a b c{number % 7}\n" for number in range(40)))
    (folder / "tgt").write_text("".join(f"x y{number % 7}\n" for number in range(40)))
    argv = ["-train_src", f"{folder}/src", "-train_tgt", f"{folder}/tgt", "-save_data", f"{folder}/data"]
    assert COMMANDS["preprocess"](argv) == 0
    assert COMMANDS["train"](training(folder)) == 0
    next(folder.glob("model_epoch1_*.pt")).rename(folder / "model.pt")
    return folder


def training(folder, *argv):
    small = "-rnn_size 4 -word_vec_size 4 -layers 1 -end_epoch 1 -log_level NONE".split()
    return ["-data", f"{folder}/data", "-save_model", f"{folder}/model", *small, *argv]


def damaged(content, rng):
    """Damage a file's content: empty it, replace it by noise, cut it, flip a bit or insert noise."""
    place = rng.randrange(len(content))
    noise = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
    flipped = bytes([content[place] ^ (1 << rng.randrange(8))])
    return rng.choice(
        [
            b"",
            noise,
            content[:place],
            content[:place] + flipped + content[place + 1 :],
            content[:place] + noise + content[place:],
        ]
    )


@pytest.mark.parametrize("name", ["data-train.json", "data-train-0001.bin", "model.pt"])
def test_damaged_files(work, tmp_path, capsys, name):
    """A damaged file is refused with one line, unless the damage is in bytes that are never read."""
    shutil.copytree(work, tmp_path, dirs_exist_ok=True)
    rng = random.Random(name)
    content = (work / name).read_bytes()
    codes = []
    for _ in range(25):
        (tmp_path / name).write_bytes(damaged(content, rng))
        if name == "model.pt":
            model = f"{tmp_path}/model.pt"
            argv = [
                "-model",
                model,
                "-src",
                f"{work}/src",
                "-output",
                f"{tmp_path}/out",
                "-log_level",
                "NONE",
            ]
            codes.append(run_main("translate", argv, capsys)[0])
        else:
            codes.append(run_main("train", training(tmp_path), capsys)[0])
    assert codes.count(1) > 15


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3 ", b"\xed\xa0\x80"])
def test_text_that_is_no_utf8(work, tmp_path, capsys, bad):
    rng = random.Random(0)
    content = (work / "src").read_bytes()
    source = tmp_path / "src"
    for _ in range(5):
        place = rng.randrange(len(content))
        source.write_bytes(content[:place] + bad + content[place:])
        line = content[:place].count(b"\n") + 1
        preprocess = ["-train_src", str(source), "-train_tgt", f"{work}/tgt", "-save_data", f"{tmp_path}/new"]
        translate = ["-model", f"{work}/model.pt", "-src", str(source), "-output", f"{tmp_path}/out"]
        for name, argv in (("preprocess", preprocess), ("translate", translate)):
            code, errors = run_main(name, [*argv, "-log_level", "NONE"], capsys)
            assert code == 1
            assert str(source) in errors
            assert str(line) in errors
    assert not list(tmp_path.glob("new*"))
