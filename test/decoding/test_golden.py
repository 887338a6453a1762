"""Translations measured on the original, model by model; skipped without the numbers."""

import gzip
import json
import math
from pathlib import Path

import pytest
import torch

from onmt.decoding.inference import LanguageModelRunner, TaggerRunner
from onmt.decoding.inputs import Source
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.translator import Translation, Translator
from onmt.models.loading import LoadedModel, load_model
from onmt.models.networks import LanguageModel, Seq2Seq, Tagger

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "lua"
QUICK = ("rnn_lstm", "tgtfeat1")
BATCH_SIZES = [30, pytest.param(1, marks=pytest.mark.slow)]
FOLDERS = [
    pytest.param(path.parent.name, marks=() if path.parent.name in QUICK else pytest.mark.slow)
    for path in sorted(GOLDEN.glob("*/beam5_n1.txt"))
]
PADDING_COUNTED = ("brnn_gru_sum", "pdbrnn2_lstm_sum", "pdbrnn3_lstm_sum")
"""Where the original's result depended on what else was in the batch: only its results one by one count."""

pytestmark = pytest.mark.skipif(not FOLDERS, reason="no golden numbers here")


def load(folder: Path, scratch: Path) -> LoadedModel:
    model = scratch / "model.t7"
    model.write_bytes(gzip.decompress((folder / "model_release.t7.gz").read_bytes()))
    return load_model(str(model), torch.device("cpu"))


@pytest.fixture(scope="module", params=FOLDERS)
def golden(request, tmp_path_factory):
    return GOLDEN / request.param, load(GOLDEN / request.param, tmp_path_factory.mktemp(request.param))


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def translate(golden, batch_size: int, **options) -> list[Translation]:
    folder, loaded = golden
    assert isinstance(loaded.model, Seq2Seq)
    translator = Translator(loaded.model, loaded.vocabularies, TranslatorOptions(**options))
    sides = [lines_of(folder / f"test.{side}") for side in ("src", "tgt")]
    sources = [translator.source(line.split()) for line in sides[0]]
    references = [translator.reference(line.split()) for line in sides[1]]
    return translator.translate(sources, batch_size, references)


def assert_same(translations: list[Translation], expected: list[dict], best_only: bool = False) -> None:
    assert len(translations) == len(expected)
    for translation, wanted in zip(translations, expected, strict=True):
        predictions = wanted["preds"][:1] if best_only else wanted["preds"]
        found = translation.hypotheses[: len(predictions)]
        assert [" ".join(one.tokens) for one in found] == [one["tokens"] for one in predictions]
        scores = [-math.inf if one["score"] == "-inf" else one["score"] for one in predictions]
        # The original adds in single precision: a sum of 251 terms is only good to some 1e-6 of itself.
        assert [one.score for one in found] == pytest.approx(scores, abs=1e-4, rel=2e-6)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize(("beam_size", "name"), [(1, "greedy_b1"), (5, "beam5_n1_b1")])
def test_translations_of_sentences_one_by_one(golden, beam_size, name, batch_size):
    expected = json.loads((golden[0] / "golden.json").read_text())["translate"][name]
    found = translate(golden, batch_size, beam_size=beam_size)
    assert_same(found, expected)
    gold = [one["gold_score"] for one in expected]
    assert [one.gold_score for one in found] == pytest.approx(gold, abs=1e-4)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_the_three_best(golden, batch_size):
    expected = json.loads((golden[0] / "golden.json").read_text())["translate"]
    found = translate(golden, batch_size, n_best=3)
    if golden[0].name in PADDING_COUNTED:
        assert_same(found, expected["beam5_n1_b1"], best_only=True)
    else:
        assert_same(found, expected["beam5_n3_b30"])


def test_attention(golden):
    folder, loaded = golden
    expected = json.loads((folder / "golden.json").read_text())["translate"]["beam5_n1_b30"]
    if folder.name in PADDING_COUNTED or loaded.model.spec.decoder.attention.score == "last":
        pytest.skip("the original has no attention here, or one that depended on the batch")
    for translation, wanted in list(zip(translate(golden, 30), expected, strict=True))[:12]:
        attention = translation.hypotheses[0].attention
        rows = [row[len(row) - attention.shape[1] :] for row in wanted["preds"][0]["attention"]]
        assert attention.shape[0] == len(rows)
        torch.testing.assert_close(
            torch.from_numpy(attention), torch.tensor(rows, dtype=torch.float32), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("batch_size", [1, 30])
def test_scores_of_the_language_model(batch_size, tmp_path):
    folder = GOLDEN / "lm_lstm"
    loaded = load(folder, tmp_path)
    assert isinstance(loaded.model, LanguageModel)
    sources = [Source.of(line.split(), loaded.vocabularies.src) for line in lines_of(folder / "test.src")]
    scores = LanguageModelRunner(loaded.model, loaded.vocabularies).score(sources, batch_size)
    assert scores == pytest.approx(list(map(float, lines_of(folder / "score_b1.txt"))), abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 30])
@pytest.mark.parametrize(
    "name", ["seqtagger_brnn_lstm", "seqtagger_brnn_concat_srcfeat_tgtfeat", "seqtagger_sentence_crf"]
)
def test_tags(name, batch_size, tmp_path):
    folder = GOLDEN / name
    loaded = load(folder, tmp_path)
    assert isinstance(loaded.model, Tagger)
    sources = [Source.of(line.split(), loaded.vocabularies.src) for line in lines_of(folder / "test.src")]
    tags = TaggerRunner(loaded.model, loaded.vocabularies).tag(sources, batch_size)
    assert [one.text for one in tags] == lines_of(folder / "tag_b1.txt")
