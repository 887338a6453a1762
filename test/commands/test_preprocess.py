"""preprocess.py from its command line, with onmt/data/preprocess.py, manifest.py and shards.py behind it"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.commands.preprocess import main
from onmt.data import corpus, preparation, preprocess, vocabulary_setup
from onmt.data.shards import open_prepared
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
PAIRS = [("a b", "x y"), ("c", "z"), ("a b c", "x"), ("b", "y y"), ("c c c", "z z z z")]


def write_pairs(folder: Path, pairs: list[tuple[str, str]], name: str = "train") -> list[str]:
    """Files of both sides; returns the flags that name them."""
    for side, lines in zip(("src", "tgt"), zip(*pairs, strict=True), strict=True):
        (folder / f"{name}.{side}").write_bytes("".join(line + "\n" for line in lines).encode())
    return [f"-{name}_src", str(folder / f"{name}.src"), f"-{name}_tgt", str(folder / f"{name}.tgt")]


def stored_text(prefix: str, name: str = "train") -> list[tuple[str, ...]]:
    """The sentences of a prepared data set, as words again."""
    data = open_prepared(prefix)
    dataset = data.train if name == "train" else data.valid
    assert dataset is not None
    texts = []
    for index in range(len(dataset)):
        batch = dataset.batch(np.array([index]))
        sides = [(batch.src, data.vocabularies.src)]
        if batch.tgt_output is not None:
            sides.append((batch.tgt_output, data.vocabularies.tgt))
        texts.append(
            tuple(
                " ".join(
                    "￨".join(v.word(int(i)) for v, i in zip(vocabularies, ids, strict=True))
                    for ids in tensor[0]
                )
                for tensor, vocabularies in sides
            )
        )
    return texts


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pairs_are_sorted_by_source_length_after_a_seeded_shuffle(tmp_path: Path) -> None:
    flags = write_pairs(tmp_path, PAIRS)
    orders = []
    for seed in ("1", "1", "2", "3", "4"):
        assert main([*flags, "-save_data", f"{tmp_path}/d", "-seed", seed]) == 0
        orders.append(stored_text(f"{tmp_path}/d"))
        assert sorted(orders[-1]) == sorted((src, f"{tgt} </s>") for src, tgt in PAIRS)
        sizes = [len(src.split()) for src, _ in orders[-1]]
        assert sizes == sorted(sizes)
    assert orders[0] == orders[1]
    assert any(order != orders[0] for order in orders)


def test_without_shuffle_and_sort_the_order_is_that_of_the_files(tmp_path: Path) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), *write_pairs(tmp_path, PAIRS[1:3], "valid")]
    plain = ["-shuffle", "0", "-sort", "0", "-save_data", f"{tmp_path}/d", "-shard_size", "2"]
    assert main([*flags, *plain]) == 0
    assert stored_text(f"{tmp_path}/d") == [(src, f"{tgt} </s>") for src, tgt in PAIRS]
    assert stored_text(f"{tmp_path}/d", "valid") == [("c", "z </s>"), ("a b c", "x </s>")]
    assert {"d-train-0001.bin", "d-train-0003.bin", "d-valid-0001.bin"} <= files(tmp_path)
    assert main([*flags[:4], *plain[:-2]]) == 0
    assert {name for name in files(tmp_path) if name.endswith(".bin")} == {"d-train-0001.bin"}


@pytest.mark.parametrize("name", ["d", "d-train", "d-train.json", "d-train.t7"])
def test_the_data_is_found_under_several_names(tmp_path: Path, name: str) -> None:
    assert main([*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]) == 0
    assert len(open_prepared(f"{tmp_path}/{name}").train) == len(PAIRS)
    with pytest.raises(DataError, match="there is no prepared data"):
        open_prepared(f"{tmp_path}/e-train.t7")


def test_odd_text_is_handled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s").write_bytes("\ufeffa\u2028b\x00 c\r\n\n\r\nd  e \nlast".encode())
    (tmp_path / "t").write_bytes(b"1\n2\n3\n4 4\n5\n")
    flags = ["-train_src", f"{tmp_path}/s", "-train_tgt", f"{tmp_path}/t", "-save_data", f"{tmp_path}/d"]
    assert main([*flags, "-sort", "0", "-shuffle", "0"]) == 0
    assert stored_text(f"{tmp_path}/d") == [
        ("a\u2028b\x00 c", "1 </s>"),
        ("d e", "4 4 </s>"),
        ("last", "5 </s>"),
    ]
    output = capsys.readouterr().out
    assert "byte order mark" in output
    assert " * 2 sequences not validated (length, other)" in output
    assert "   - source empty: 2 (40.0%)" in output
    assert "2 of 5 sentences were dropped (40.0%)" in output


def test_log_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), *write_pairs(tmp_path, [("a zz", "x")], "valid")]
    flags += ["-src_vocab_size", "2", "-tgt_seq_length", "3", "-save_data", f"{tmp_path}/d"]
    assert main(flags) == 0
    lines = [line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()]
    rest = " ; ".join(["0%"] * 9)
    assert lines == [
        "Using on-the-fly 'space' tokenization for input 1",
        "Using on-the-fly 'space' tokenization for input 2",
        "Preparing vocabulary...",
        " * Building source vocabularies...",
        " * Created word dictionary of size 6 (pruned from 7)",
        " * Building target vocabularies...",
        " * Created word dictionary of size 7 (pruned from 7)",
        "",
        "Preparing training data...",
        "--- Preparing train sample",
        f" * [-] file '{tmp_path}/train.src' (): 5 total, 5 drawn, 4 kept - "
        "unknown words: source = 20.8%, target = 0.0%",
        "... shuffling sentences",
        "... sorting sentences by size",
        "Prepared 4 sentences:",
        " * 1 sequences not validated (length, other)",
        "   - target longer than 3: 1 (20.0%)",
        " * average sequence length: source = 1.8, target = 1.5",
        f" * source sentence length (range of 10): [ 100% ; {rest} ]",
        f" * target sentence length (range of 10): [ 100% ; {rest} ]",
        f"{tmp_path}/train.src: 1 of 5 sentences were dropped (20.0%)",
        "",
        "Preparing validation data...",
        "--- Preparing valid sample",
        f" * [-] file '{tmp_path}/valid.src' (): 1 total, 1 drawn, 1 kept - "
        "unknown words: source = 100.0%, target = 0.0%",
        "... shuffling sentences",
        "... sorting sentences by size",
        "Prepared 1 sentences:",
        " * 0 sequences not validated (length, other)",
        " * average sequence length: source = 2.0, target = 1.0",
        f" * source sentence length (range of 10): [ 100% ; {rest} ]",
        f" * target sentence length (range of 10): [ 100% ; {rest} ]",
        "",
        f"Saving source vocabulary to '{tmp_path}/d.src.dict'...",
        f"Saving target vocabulary to '{tmp_path}/d.tgt.dict'...",
        f"Saving data to '{tmp_path}/d-train.json'...",
    ]


def test_vector_data(tmp_path: Path) -> None:
    (tmp_path / "v").write_text("k1 [\n1 2\n3 4 ]\nk2 [ ]\nk3 [\n5 6 ]\n")
    (tmp_path / "t").write_text("k3 c\nk1 a b\n")
    flags = [
        "-data_type",
        "feattext",
        "-train_src",
        f"{tmp_path}/v",
        "-train_tgt",
        f"{tmp_path}/t",
        "-idx_files",
    ]
    assert main([*flags, "-save_data", f"{tmp_path}/d"]) == 0
    data = open_prepared(f"{tmp_path}/d")
    assert (data.vocabularies.src, data.vocabularies.src_vector_size) == ((), 2)
    batch = data.train.batch(np.arange(2))
    assert batch.src.tolist() == [[[5, 6], [0, 0]], [[1, 2], [3, 4]]]
    assert files(tmp_path) == {"v", "t", "d-train.json", "d-train-0001.bin", "d.tgt.dict"}


def test_monolingual_data_with_features(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a￨X b￨Y\nb￨X\n", encoding="utf-8")
    flags = ["-data_type", "monotext", "-train", f"{tmp_path}/s", "-sort", "0", "-shuffle", "0"]
    assert main([*flags, "-save_data", f"{tmp_path}/d"]) == 0
    assert stored_text(f"{tmp_path}/d") == [("<s>￨</s> a￨<s> b￨X </s>￨Y",), ("<s>￨</s> b￨<s> </s>￨X",)]
    assert {"d.dict", "d_feature_1.dict"} <= files(tmp_path)
    again = [*flags, "-vocab", f"{tmp_path}/d.dict", "-features_vocabs_prefix", f"{tmp_path}/d"]
    assert main([*again, "-save_data", f"{tmp_path}/e", "-time_shift_feature", "0", "-keep_frequency"]) == 0
    assert stored_text(f"{tmp_path}/e") == [("<s>￨<s> a￨X b￨Y </s>￨</s>",), ("<s>￨<s> b￨X </s>￨</s>",)]
    assert "e.dict" not in files(tmp_path)
    words = open_prepared(f"{tmp_path}/e").vocabularies.src[0]
    assert words.frequencies == (0, 0, 0, 0, 1, 2)


def test_given_vocabularies_are_used_and_not_written(tmp_path: Path) -> None:
    Vocabulary(["<blank>", "<unk>", "<s>", "</s>", "c", "b"]).write(tmp_path / "v.dict")
    flags = [*write_pairs(tmp_path, PAIRS), "-src_vocab", f"{tmp_path}/v.dict", "-save_data", f"{tmp_path}/d"]
    assert main([*flags, "-sort", "0", "-shuffle", "0"]) == 0
    assert [src for src, _ in stored_text(f"{tmp_path}/d")][:3] == ["<unk> b", "c", "<unk> b c"]
    assert "d.src.dict" not in files(tmp_path)


def test_vocabularies_are_built_from_tokenized_text(tmp_path: Path) -> None:
    flags = write_pairs(tmp_path, [("Hello, you", "x")])
    tokenizer = ["-tok_src_mode", "aggressive", "-tok_src_joiner_annotate", "-tok_src_case_feature"]
    assert main([*flags, *tokenizer, "-save_data", f"{tmp_path}/d"]) == 0
    assert stored_text(f"{tmp_path}/d") == [("hello￨C ￭,￨N you￨L", "x </s>")]
    labels = open_prepared(f"{tmp_path}/d").vocabularies.src[1]
    assert labels.words[4:] == ("C", "L", "N", "U", "M")


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "_WORTH_WORKERS", 0)
    monkeypatch.setattr(preparation, "_ENCODED_AT_A_TIME", 300)
    monkeypatch.setattr(vocabulary_setup, "COUNTED_AT_A_TIME", 300)
    monkeypatch.setattr(corpus, "BLOCK_BYTES", 100)
    flags = write_pairs(tmp_path, PAIRS * 50)
    written = []
    for workers in ("1", "2"):
        assert main([*flags, "-save_data", f"{tmp_path}/d", "-preprocess_pthreads", workers]) == 0
        written.append(
            [(tmp_path / name).read_bytes() for name in ("d-train-0001.bin", "d.src.dict", "d.tgt.dict")]
        )
    assert written[0] == written[1]


def run_failing(flags: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = main(flags)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("preprocess.py: ")
    return code, error


@pytest.mark.parametrize(
    ("src", "tgt", "extra", "code", "message"),
    [
        (b"a\nb\n", b"x\n", [], 1, "train.tgt has 1 lines but"),
        (b"a\n\xff\n", b"x\ny\n", [], 1, "train.src, line 2, byte offset 0: not valid UTF-8"),
        (b"", b"", [], 1, "none of 0 sentences can be used"),
        (b"a a\n\n", b"x\ny\n", ["-src_seq_length", "1"], 1, "source empty: 1, source longer than 1: 1"),
        ("a￨X\nb\n".encode(), b"x\ny\n", [], 1, "train.src, line 2: 0 word features"),
        (b"a\n", b"x\n", ["-features_vocabs_prefix", "nowhere"], 0, ""),
        (
            "a￨X\n".encode(),
            b"x\n",
            ["-features_vocabs_prefix", "nowhere"],
            1,
            "nowhere.source_feature_1.dict",
        ),
        (b"a\n", b"x\n", ["-save_data", "/nonexistent/d"], 1, "there is no folder '/nonexistent'"),
        (b"a\n", b"x\n", ["-idx_files"], 1, "the key 'x' is not in"),
        (b"a\n", b"x\n", ["-valid_src", __file__], 2, "-valid_tgt is missing beside -valid_src"),
        (b"a\n", b"x\n", ["-data_type", "feattext"], 2, "-idx_files"),
        (b"a\n", b"x\n", ["-src_vocab", __file__], 1, "test_preprocess.py, line 1: expected 'word index"),
    ],
)
def test_bad_input_ends_in_one_line_and_nothing_is_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    src: bytes,
    tgt: bytes,
    extra: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "train.src").write_bytes(src)
    (tmp_path / "train.tgt").write_bytes(tgt)
    flags = ["-train_src", f"{tmp_path}/train.src", "-train_tgt", f"{tmp_path}/train.tgt"]
    save = [] if "-save_data" in extra else ["-save_data", f"{tmp_path}/d"]
    if code == 0:
        assert main([*flags, *save, *extra]) == 0
        return
    found, error = run_failing([*flags, *save, *extra], capsys)
    assert (found, message in error) == (code, True), error
    assert files(tmp_path) == {"train.src", "train.tgt"}


def test_a_missing_training_file_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = run_failing(["-save_data", f"{tmp_path}/d"], capsys)
    assert code == 2
    assert "-train_src is missing" in error


def test_a_failure_keeps_the_data_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]
    assert main(flags) == 0
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preprocess, "write_shard", full)
    code, error = run_failing([*flags, "-seed", "7"], capsys)
    assert code == 1
    assert "d-train-0001.bin: cannot write: No space left on device" in error
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "swap"])
def test_damaged_data_is_refused_in_one_line_naming_the_file(tmp_path: Path, damage: str) -> None:
    for name in "de":
        flags = write_pairs(tmp_path, PAIRS if name == "d" else PAIRS[:2])
        assert main([*flags, "-save_data", f"{tmp_path}/{name}"]) == 0
    shard = tmp_path / "d-train-0001.bin"
    content = bytearray(shard.read_bytes())
    if damage == "cut":
        shard.write_bytes(content[:-4])
    elif damage == "flip":
        content[-1] ^= 1
        shard.write_bytes(content)
    elif damage == "remove":
        shard.unlink()
    else:
        shard.write_bytes((tmp_path / "e-train-0001.bin").read_bytes())
    with pytest.raises(DataError, match=r"d-train-0001\.bin: "):
        open_prepared(f"{tmp_path}/d")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_manifest_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    assert main([*write_pairs(folder, PAIRS), "-save_data", f"{folder}/d", "-disable_logs"]) == 0
    path = folder / "d-train.json"
    content = json.loads(path.read_bytes())
    place = data.draw(st.sampled_from(["format", "data_type", "train", "valid", "options", "vocabularies"]))
    if data.draw(st.booleans()):
        del content[place]
    else:
        content[place] = data.draw(st.sampled_from([None, 7, "x", [], [1], {"a": 1}, [{"file": 3}]]))
    text = json.dumps(content)
    path.write_text(text[: int(len(text) * data.draw(st.sampled_from([0, 0.1, 0.5, 0.9, 1, 1, 1])))])
    try:
        found = open_prepared(f"{folder}/d")
    except DataError as error:
        assert "d-train" in str(error)  # noqa: PT017 - it may also be harmless
        return
    assert len(found.train) == len(PAIRS)


def test_help_and_usage_errors_need_no_torch_and_preparing_neither(tmp_path: Path) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]
    program = (
        "import sys\n"
        "from onmt.commands.preprocess import main\n"
        f"code = main({flags!r})\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@settings(max_examples=60, deadline=None)
@given(
    src=st.binary(max_size=30),
    tgt=st.binary(max_size=30),
    kind=st.sampled_from(["bitext", "idx", "feattext"]),
)
def test_any_files_are_prepared_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, src: bytes, tgt: bytes, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "s").write_bytes(src)
    (folder / "t").write_bytes(tgt)
    extra = {"bitext": [], "idx": ["-idx_files"], "feattext": ["-idx_files", "-data_type", "feattext"]}[kind]
    flags = ["-train_src", f"{folder}/s", "-train_tgt", f"{folder}/t", *extra, "-save_data", f"{folder}/d"]
    code = main([*flags, "-disable_logs"])
    assert code in (0, 1)
    assert (code == 0) == (folder / "d-train.json").exists()
    if code == 0:
        assert len(open_prepared(f"{folder}/d").train) >= 1


def write_folder(folder: Path) -> list[str]:
    (folder / "corpora").mkdir()
    for stem, letter in (("news", "n"), ("web", "w")):
        (folder / "corpora" / f"{stem}.src").write_text("".join(f"{letter} {i}\n" for i in range(6)))
        (folder / "corpora" / f"{stem}.tgt").write_text("".join(f"{letter}{i}\n" for i in range(6)))
    return ["-train_dir", f"{folder}/corpora", "-sort", "0", "-shuffle", "0", "-save_data", f"{folder}/d"]


def test_all_files_of_a_folder(tmp_path: Path) -> None:
    assert main(write_folder(tmp_path)) == 0
    letters = [src[0] for src, _ in stored_text(f"{tmp_path}/d")]
    assert letters == ["n"] * 6 + ["w"] * 6


def test_a_sample_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = write_folder(tmp_path)
    (tmp_path / "rules").write_text("^n *\n* 1\n")
    sample = ["-gsample", "16", "-gsample_dist", f"{tmp_path}/rules"]
    assert main([*flags, *sample]) == 0
    pairs = stored_text(f"{tmp_path}/d")
    assert [src for src, _ in pairs][:6] == [f"n {i}" for i in range(6)]
    assert len(pairs) == 16
    assert all(tgt == src.replace(" ", "") + " </s>" for src, tgt in pairs)
    output = capsys.readouterr().out
    assert "news.src': all of 6 lines" in output
    assert "web.src' (): 6 total, 10 drawn, 10 kept" in output


def test_a_dry_run_writes_nothing_and_needs_no_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_folder(tmp_path)[:2]
    assert main([*flags, "-gsample", "0.5", "-dry_run"]) == 0
    assert "web.src': 3 of 6 lines" in capsys.readouterr().out
    assert files(tmp_path) == {"corpora"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["-gsample_dist", __file__], "give -gsample too"),
        (["-gsample", "3", "-idx_files"], "-gsample draws lines"),
        (["-train_src", __file__], "-train_dir and -train_src exclude each other"),
    ],
)
def test_contradictions_about_files_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    code, error = run_failing([*write_folder(tmp_path), *extra], capsys)
    assert (code, message in error) == (2, True), error


HOOKS = """
def mpreprocess(options, lines):
    return [line.upper() for line in lines]

def bpreprocess(options, sides):
    pairs = [(src, tgt) for src, tgt in zip(*sides) if src != "C"]
    return [src for src, _ in pairs], [tgt + " !" for _, tgt in pairs]

def tokenize(options, line):
    return None if " " in line else list(line)
"""


def test_hooks_change_lines_pairs_and_tokens(tmp_path: Path) -> None:
    (tmp_path / "my_hooks.py").write_text(HOOKS)
    flags = [*write_pairs(tmp_path, [("a b", "x y"), ("c", "z"), ("de", "f")]), "-hook_file"]
    flags += [f"{tmp_path}/my_hooks.py", "-sort", "0", "-shuffle", "0", "-save_data", f"{tmp_path}/d"]
    assert main(flags) == 0
    data = open_prepared(f"{tmp_path}/d")
    assert data.vocabularies.src[0].words[4:] == ("A", "B", "C", "D", "E")
    assert data.vocabularies.tgt[0].words[4:] == ("X", "Y", "Z", "F")
    assert stored_text(f"{tmp_path}/d") == [("A B", "X Y <unk> </s>"), ("D E", "F <unk> </s>")]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def mpreprocess(options, lines): return lines[1:]", "as many as it got"),
        ("def mpreprocess(options, lines): return ['a\\nb' for line in lines]", "a line break inside a line"),
        ("def mpreprocess(options, lines): return ['\\udc80' for line in lines]", "not Unicode text"),
        ("def bpreprocess(options, sides): return sides[0]", "two lists of lines"),
        ("def bpreprocess(options, sides): return sides[0], []", "5 source lines but 0 target lines"),
        ("def tokenize(options, line): return 7", "must return a list of tokens"),
        ("def tokenize(options, line): return line[99]", "IndexError"),
        ("1 +", "SyntaxError"),
        ("tokenize = 3", "must be a function"),
    ],
)
def test_bad_hooks_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    (tmp_path / "my_hooks.py").write_text(code)
    flags = [*write_pairs(tmp_path, PAIRS), "-hook_file", f"{tmp_path}/my_hooks.py"]
    found, error = run_failing([*flags, "-save_data", f"{tmp_path}/d"], capsys)
    assert found in (1, 2)
    assert message in error


def test_nothing_is_left_when_the_run_is_killed_while_saving(tmp_path: Path) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]
    program = (
        "import os, signal\n"
        "from onmt.commands.preprocess import main\n"
        "from onmt.data.files import StagedFiles\n"
        "StagedFiles.commit = lambda self, outdated: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"main({flags!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert files(tmp_path) == {"train.src", "train.tgt"}


def peak_anonymous_memory(flags: list[str]) -> int:
    """Of a run of preprocess.py, in bytes."""
    command = [sys.executable, str(ROOT / "preprocess.py"), *flags]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                    if line.startswith("RssAnon:"):
                        peak = max(peak, int(line.split()[1]) * 1024)
            time.sleep(0.005)
    assert process.returncode == 0
    return peak


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_hardly_grows_with_the_corpus(tmp_path: Path) -> None:
    peaks = []
    sizes = (100_000, 600_000)
    for size in sizes:
        words = [f"w{number % 5000}" for number in range(5003)]
        pairs = [(" ".join(words[i % 4990 : i % 4990 + 1 + i % 12]), words[i % 5000]) for i in range(size)]
        flags = [*write_pairs(tmp_path, pairs), "-preprocess_pthreads", "1"]
        del pairs
        peaks.append(peak_anonymous_memory([*flags, "-save_data", f"{tmp_path}/d"]))
    assert (peaks[1] - peaks[0]) / (sizes[1] - sizes[0]) < 16
