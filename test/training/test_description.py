import re
import shlex
from pathlib import Path

import pytest

from onmt.commandline.parser import parse
from onmt.commands.pipeline import train
from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.options import Seq2SeqModelOptions

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "lua"
LOGS = sorted(GOLDEN.glob("*/train.log"))


def test_a_translation_model() -> None:
    options = Seq2SeqModelOptions(encoder_type="gnmt", layers=3, word_vec_size=8, rnn_size=12, dropout=0.25)
    assert spec_from_options(options, DataSizes(src=(30, 7), tgt=(29,))).log_lines() == [
        " * Encoder:",
        "   - word embeddings size: 8",
        "   - features embeddings sizes: 3",
        "   - type: GNMT",
        "   - structure: cell = LSTM; layers = 3; rnn_size = 12; dropout = 0.25 (naive)",
        " * Decoder:",
        "   - word embeddings size: 8",
        "   - attention: global (general)",
        "   - structure: cell = LSTM; layers = 3; rnn_size = 12; dropout = 0.25 (naive)",
        " * Bridge: copy",
    ]


def test_vectors() -> None:
    options = Seq2SeqModelOptions(
        encoder_type="pdbrnn", rnn_size=12, dropout_type="variational", attention="none"
    )
    lines = spec_from_options(options, DataSizes(src=(), tgt=(29,), src_vector_size=40)).log_lines()
    assert lines[1:4] == [
        "   - vectors size: 40",
        "   - type: pyramidal deep bidirectional RNN",
        "   - structure: cell = LSTM; layers = 2; rnn_size = 12; dropout = 0.3 (variational)",
    ]
    assert "   - attention: none" in lines


def test_cells_with_more_than_lua_s() -> None:
    cell = {"num_units": 6, "num_proj": 4, "proj_clip": 0.5, "cell_clip": 3, "use_peepholes": True}
    params = {
        "encoder.params": {
            "rnn_cell": {"cell_class": "GRUCell", "cell_params": {"activation": "tf.nn.relu"}}
        },
        "decoder.params": {"rnn_cell": {"cell_class": "LSTMCell", "cell_params": cell}},
    }
    lines = spec_of(read_model("BasicSeq2Seq", params), DataSizes((30,), (29,))).log_lines()
    encoder, decoder = (line for line in lines if "structure" in line)
    assert encoder.endswith("; dropout = 0 (naive); activation = relu")
    assert decoder.endswith(
        "cell = LSTM; layers = 1; rnn_size = 6; dropout = 0 (naive); peepholes = yes; cell_clip = 3; "
        "projection = 4; projection_clip = 0.5"
    )


@pytest.mark.skipif(not LOGS, reason="the golden logs are not here")
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.parent.name)
def test_the_original_s_lines(path: Path, tiny_data: str) -> None:
    commands = (path.parent / "cmd.txt").read_text().splitlines()
    argv = shlex.split(next(line for line in commands if "train.lua" in line))[2:]
    argv[argv.index("-data") + 1] = tiny_data
    options = parse(train.script, argv).options
    log = path.read_text()
    features = re.search(r"additional features: (?:source = )?(\d)(?:; target = (\d))?", log)
    assert features is not None
    # The log lacks the number of labels of a feature, so widths that depend on it are not compared.
    src = (30, *[7] * int(features[1]))
    tgt = (29, *[7] * int(features[2])) if features[2] else ()
    lines = spec_from_options(options, DataSizes(src=src, tgt=tgt)).log_lines()
    expected = [line.partition("] ")[2] for line in log.splitlines()]
    start, end = expected.index("Building model..."), expected.index("Initializing parameters...")
    assert list(map(_without_widths, lines)) == list(map(_without_widths, expected[start + 1 : end]))


def _without_widths(line: str) -> str:
    return re.sub("(features embeddings sizes): .*", r"\1", line)
