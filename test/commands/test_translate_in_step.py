"""Every output file stays in step with the input lines, whatever they contain and however the search ends."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from onmt.commands.pipeline import lm, tag, translate

LINES = st.lists(
    st.sampled_from(["", " ", "\r", "a", "a b c", "q q", "c \u2028", "｟x：％000a｠"]), max_size=5
)
SEARCHES = st.fixed_dictionaries(
    {},
    optional={
        "-beam_size": st.sampled_from(["4", "12"]),  # 12 is more than the number of words
        "-max_num_unks": st.just("1"),
        "-pre_filter_factor": st.just("3"),
        "-target_subdict": st.just("nothing"),  # leaves `<unk>` only
        "-phrase_table": st.just("table"),
        "-length_norm": st.just("1"),
        "-batch_size": st.just("2"),
        "-detokenize_output": st.just("true"),
    },
)


def written(folder: Path, name: str) -> list[str]:
    content = (folder / name).read_text(encoding="utf-8")
    assert content == "" or content.endswith("\n")
    return content.split("\n")[:-1]


@pytest.fixture
def results(work):
    (work / "nothing").write_text("")
    (work / "table").write_text("a ||| x\nq ||| y\nb ||| unknown\n")
    (work / "log.cfg").write_text("disable_logs = true\nmax_sent_length = 3\n")
    return work


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, n_best=st.sampled_from([1, 2, 4]), search=SEARCHES)
@example(lines=["", "a", ""], n_best=4, search={"-target_subdict": "nothing", "-max_num_unks": "1"})
def test_translations(results, lines, n_best, search):
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "src").write_bytes("".join(f"{line}\n" for line in lines).encode())
        common = ["-model", "words.pt", "-src", f"{name}/src", "-config", "log.cfg", "-n_best", str(n_best)]
        common += [word for option in {"-beam_size": "4", **search}.items() for word in option]
        common += ["-lexical_constraints"] if "-phrase_table" in search else []
        files = ["-save_attention", f"{name}/attn.npz", "-save_beam_to", f"{name}/beam.npz"]
        assert translate([*common, *files, "-output", f"{name}/out"]) == 0
        output, total = written(folder, "out"), n_best * len(lines)
        assert len(output) == total
        empty = [place for place, line in enumerate(lines) if not line.strip(" \r")]
        for place in empty:
            assert output[n_best * place : n_best * (place + 1)] == [""] * n_best
        with np.load(folder / "attn.npz") as arrays:
            assert list(arrays) == [f"arr_{line}" for line in range(total)]
        with np.load(folder / "beam.npz") as arrays:
            assert [place for place, steps in enumerate(arrays["steps"]) if steps == 0] == empty
        files = ["-save_attention", f"{name}/attn", "-save_beam_to", f"{name}/beam"]
        assert translate([*common, *files, "-output", f"{name}/again"]) == 0
        assert written(folder, "again") == output
        headers = [line for line in written(folder, "attn") if " ||| " in line]
        assert [int(header.split(" ||| ")[0]) for header in headers] == [
            place + 1 for place in range(len(lines)) if place not in empty for _ in range(n_best)
        ]
        for beams in json.loads((folder / "beam").read_text()).values():
            assert len(beams) == len(lines)
        assert translate([*common, "-dump_input_encoding", "-output", f"{name}/encodings"]) == 0
        assert [place for place, line in enumerate(written(folder, "encodings")) if not line] == empty


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_tags_scores_and_samples(results, lines):
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "src").write_bytes("".join(f"{line}\n" for line in lines).encode())
        common = ["-src", f"{name}/src", "-output", f"{name}/out", "-disable_logs"]
        assert tag(["-model", "tagger.pt", *common]) == 0
        tags = written(folder, "out")
        assert [len(line.split(" ")) if line else 0 for line in tags] == [
            len(line.replace("\r", " ").split()) if "\u2028" not in line else 2 for line in lines
        ]
        for mode in ("score", "sample"):
            argv = [mode, "-model", "lm.pt", "-max_length", "3", *common]
            assert lm(argv) == 0
            assert len(written(folder, "out")) == len(lines)
