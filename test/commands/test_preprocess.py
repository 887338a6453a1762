"""preprocess.py through its command line; covers onmt/data/preprocess.py, preparation.py and shards.py."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from prepared_text import PAIRS, files, stored_text, write_pairs

from onmt.commands.pipeline import preprocess
from onmt.data import corpus, preparation, vocabulary_building
from onmt.data.loading import open_prepared
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def test_pairs_are_sorted_by_source_length_after_a_seeded_shuffle(tmp_path: Path) -> None:
    flags = write_pairs(tmp_path, PAIRS)
    orders = []
    for seed in ("1", "1", "2", "3", "4"):
        assert preprocess([*flags, "-save_data", f"{tmp_path}/d", "-seed", seed]) == 0
        orders.append(stored_text(f"{tmp_path}/d"))
        assert sorted(orders[-1]) == sorted((src, f"{tgt} </s>") for src, tgt in PAIRS)
        sizes = [len(src.split()) for src, _ in orders[-1]]
        assert sizes == sorted(sizes)
    assert orders[0] == orders[1]
    assert any(order != orders[0] for order in orders)


def test_without_shuffle_and_sort_the_order_is_that_of_the_files(tmp_path: Path) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), *write_pairs(tmp_path, PAIRS[1:3], "valid")]
    plain = ["-shuffle", "0", "-sort", "0", "-save_data", f"{tmp_path}/d", "-shard_size", "2"]
    assert preprocess([*flags, *plain]) == 0
    assert stored_text(f"{tmp_path}/d") == [(src, f"{tgt} </s>") for src, tgt in PAIRS]
    assert stored_text(f"{tmp_path}/d", "valid") == [("c", "z </s>"), ("a b c", "x </s>")]
    assert {"d-train-0001.bin", "d-train-0003.bin", "d-valid-0001.bin"} <= files(tmp_path)
    assert preprocess([*flags[:4], *plain[:-2]]) == 0
    assert {name for name in files(tmp_path) if name.endswith(".bin")} == {"d-train-0001.bin"}


@pytest.mark.parametrize("name", ["d", "d-train", "d-train.json", "d-train.t7"])
def test_the_data_is_found_under_several_names(tmp_path: Path, name: str) -> None:
    assert preprocess([*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]) == 0
    assert len(open_prepared(f"{tmp_path}/{name}").train) == len(PAIRS)
    with pytest.raises(DataError, match="there is no prepared data"):
        open_prepared(f"{tmp_path}/e-train.t7")


def test_odd_text_is_handled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s").write_bytes("\ufeffa\u2028b\x00 c\r\n\n\r\nd  e \nlast".encode())
    (tmp_path / "t").write_bytes(b"1\n2\n3\n4 4\n5\n")
    flags = ["-train_src", f"{tmp_path}/s", "-train_tgt", f"{tmp_path}/t", "-save_data", f"{tmp_path}/d"]
    assert preprocess([*flags, "-sort", "0", "-shuffle", "0"]) == 0
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
    assert preprocess(flags) == 0
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
    assert preprocess([*flags, "-save_data", f"{tmp_path}/d"]) == 0
    data = open_prepared(f"{tmp_path}/d")
    assert (data.vocabularies.src, data.vocabularies.src_vector_size) == ((), 2)
    batch = data.train.batch(np.arange(2))
    assert batch.src.tolist() == [[[5, 6], [0, 0]], [[1, 2], [3, 4]]]
    assert files(tmp_path) == {"v", "t", "d-train.json", "d-train-0001.bin", "d.tgt.dict"}


def test_monolingual_data_with_features(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a￨X b￨Y\nb￨X\n", encoding="utf-8")
    flags = ["-data_type", "monotext", "-train", f"{tmp_path}/s", "-sort", "0", "-shuffle", "0"]
    assert preprocess([*flags, "-save_data", f"{tmp_path}/d"]) == 0
    assert stored_text(f"{tmp_path}/d") == [("<s>￨</s> a￨<s> b￨X </s>￨Y",), ("<s>￨</s> b￨<s> </s>￨X",)]
    assert {"d.dict", "d_feature_1.dict"} <= files(tmp_path)
    again = [*flags, "-vocab", f"{tmp_path}/d.dict", "-features_vocabs_prefix", f"{tmp_path}/d"]
    assert (
        preprocess([*again, "-save_data", f"{tmp_path}/e", "-time_shift_feature", "0", "-keep_frequency"])
        == 0
    )
    assert stored_text(f"{tmp_path}/e") == [("<s>￨<s> a￨X b￨Y </s>￨</s>",), ("<s>￨<s> b￨X </s>￨</s>",)]
    assert "e.dict" not in files(tmp_path)
    words = open_prepared(f"{tmp_path}/e").vocabularies.src[0]
    assert words.frequencies == (0, 0, 0, 0, 1, 2)


def test_given_vocabularies_are_used_and_not_written(tmp_path: Path) -> None:
    Vocabulary(["<blank>", "<unk>", "<s>", "</s>", "c", "b"]).write(tmp_path / "v.dict")
    flags = [*write_pairs(tmp_path, PAIRS), "-src_vocab", f"{tmp_path}/v.dict", "-save_data", f"{tmp_path}/d"]
    assert preprocess([*flags, "-sort", "0", "-shuffle", "0"]) == 0
    assert [src for src, _ in stored_text(f"{tmp_path}/d")][:3] == ["<unk> b", "c", "<unk> b c"]
    assert "d.src.dict" not in files(tmp_path)


def test_vocabularies_are_built_from_tokenized_text(tmp_path: Path) -> None:
    flags = write_pairs(tmp_path, [("Hello, you", "x")])
    tokenizer = ["-tok_src_mode", "aggressive", "-tok_src_joiner_annotate", "-tok_src_case_feature"]
    assert preprocess([*flags, *tokenizer, "-save_data", f"{tmp_path}/d"]) == 0
    assert stored_text(f"{tmp_path}/d") == [("hello￨C ￭,￨N you￨L", "x </s>")]
    labels = open_prepared(f"{tmp_path}/d").vocabularies.src[1]
    assert labels.words[4:] == ("C", "L", "N", "U", "M")


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "_WORTH_WORKERS", 0)
    monkeypatch.setattr(preparation, "_ENCODED_AT_A_TIME", 300)
    monkeypatch.setattr(vocabulary_building, "COUNTED_AT_A_TIME", 300)
    monkeypatch.setattr(corpus, "_BLOCK_BYTES", 100)
    flags = write_pairs(tmp_path, PAIRS * 50)
    written = []
    for workers in ("1", "2"):
        assert preprocess([*flags, "-save_data", f"{tmp_path}/d", "-preprocess_pthreads", workers]) == 0
        written.append(
            [(tmp_path / name).read_bytes() for name in ("d-train-0001.bin", "d.src.dict", "d.tgt.dict")]
        )
    assert written[0] == written[1]


def test_help_and_usage_errors_need_no_torch_and_preparing_neither(tmp_path: Path) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]
    program = (
        "import sys\n"
        "from onmt.commands.pipeline import preprocess\n"
        f"code = preprocess({flags!r})\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def peak_anonymous_memory(flags: list[str]) -> int:
    """Peak anonymous memory of a run of preprocess.py, in bytes."""
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
