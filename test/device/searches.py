"""Configurations of every kind of search."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configurations import GOOGLE_CELLS, google, lua
from ledger import Ledger

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.beam_search import _Search
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.translator import Translation, Translator
from onmt.models.loading import LoadedModel
from onmt.models.lua import DataSizes, spec_from_options, with_copying, with_coverage
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import LanguageModelOptions
from onmt.spec.model import ModelSpec

WORDS = [f"w{number}" for number in range(55)]
VOCABULARY = Vocabulary([*SPECIAL_WORDS, *WORDS, "｟ent｠"])
LABELS = Vocabulary([*SPECIAL_WORDS, "a", "b"])
SIZES = DataSizes(src=(len(VOCABULARY),), tgt=(len(VOCABULARY),))
FEATURED = DataSizes(src=(len(VOCABULARY), len(LABELS)), tgt=(len(VOCABULARY), len(LABELS)))
LENGTHS = (5, 5, 4, 2)


@dataclass(frozen=True, kw_only=True)
class SearchCase:
    """A model and its search options.

    `table`: with a phrase table; `subset`: with a restricted target vocabulary; `ensemble`: with a second
    model of the same kind.
    """

    name: str
    spec: ModelSpec
    options: TranslatorOptions
    featured: bool = False
    language_model: bool = False
    references: bool = False
    table: bool = False
    subset: bool = False
    ensemble: bool = False

    def translator(self, device: torch.device, folder: Path) -> Translator:
        """Return a translator on a device; the weights are the same on every call."""
        model = self._model(1)
        model.use_vocabularies(self.vocabularies)
        model = model.to(device)
        options = self.options
        if self.table:
            (folder / "table").write_text("".join(f"{word}|||{word}\n" for word in WORDS[:3]))
            options = replace(options, phrase_table=str(folder / "table"))
        if self.subset:
            (folder / "subset").write_text("".join(f"{word}\n" for word in WORDS[:20]))
            options = replace(options, target_subdict=str(folder / "subset"))
        others = []
        if self.ensemble:
            others = [LoadedModel("other", self._model(5).to(device), self.vocabularies, {}, "bitext")]
        return Translator(model, self.vocabularies, options, self._language_model(device), others=others)

    def _model(self, seed: int) -> Seq2Seq:
        model = build_model(self.spec)
        model.initialise(0.3, torch.Generator().manual_seed(seed))
        assert isinstance(model, Seq2Seq)
        return model

    @property
    def vocabularies(self) -> Vocabularies:
        """The vocabularies of the model."""
        side = (VOCABULARY, LABELS) if self.featured else (VOCABULARY,)
        return Vocabularies(src=side, tgt=side)

    def _language_model(self, device: torch.device) -> LoadedModel | None:
        if not self.language_model:
            return None
        options = LanguageModelOptions(layers=1, rnn_size=8, word_vec_size=(8,), model_type="lm")
        model = build_model(spec_from_options(options, DataSizes(src=(len(VOCABULARY),), tgt=())))
        model.initialise(0.3, torch.Generator().manual_seed(2))
        return LoadedModel("lm", model.to(device), Vocabularies(src=(VOCABULARY,), tgt=()), {}, "monotext")

    def run(
        self, device: torch.device, folder: Path, ledger: Ledger | None = None
    ) -> tuple[list[Translation], int]:
        """Translate four sentences; return translations and search steps. `ledger` excludes preparation."""
        translator = self.translator(device, folder)
        rng = np.random.default_rng(9)
        ending = "￨a" if self.featured else ""
        tokens = [
            [WORDS[index] + ending for index in rng.integers(0, len(WORDS), length)] for length in LENGTHS
        ]
        sources = [translator.source(sentence) for sentence in tokens]
        references = [translator.reference(sentence) for sentence in tokens] if self.references else None
        steps = 0
        extend: Callable[..., Any] = _Search._extend

        def counted(search: Any, *args: Any) -> Any:
            nonlocal steps
            steps += 1
            return extend(search, *args)

        if ledger is not None:
            ledger.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_Search, "_extend", counted)
            return translator.translate(sources, len(sources), references), steps


def search_cases() -> Iterator[SearchCase]:
    """Yield all searches; names are unique."""
    base = TranslatorOptions(beam_size=5, max_sent_length=8)
    spec = lua("", sizes=SIZES).spec

    def case(
        name: str, how: dict[str, Any] | None = None, model: ModelSpec = spec, **beside: Any
    ) -> SearchCase:
        return SearchCase(name=name, spec=model, options=replace(base, **(how or {})), **beside)

    yield case("beam 5")
    yield case("beam 1", {"beam_size": 1})
    yield case("norms, n_best 5", {"length_norm": 0.2, "coverage_norm": 0.2, "eos_norm": 1.0, "n_best": 5})
    yield case("max_num_unks, pre_filter_factor", {"max_num_unks": 1, "pre_filter_factor": 3})
    yield case("language model", language_model=True)
    yield case("references", references=True)
    yield case("-save_beam_to", {"save_beam_to": "x"})
    yield case("-target_subdict", subset=True)
    yield case("ensemble of two", ensemble=True)
    restricted = {"min_length": 3, "block_ngram_repeat": 2, "ban_unk": True}
    yield case("restrictions", {**restricted, "ignore_when_blocking": ("w1", "w2")})
    yield case("samples", {"beam_size": 1, "n_best": 3, "random_sampling_topk": 9, "top_p": 0.9})
    yield case("-placeholder_constraints", {"placeholder_constraints": True})
    yield case("-lexical_constraints", {"lexical_constraints": True}, table=True)
    limited = {"lexical_constraints": True, "limit_lexical_constraints": True}
    yield case("-limit_lexical_constraints", limited, table=True)
    yield case("word features", model=lua("", sizes=FEATURED).spec, featured=True)
    yield case("no attention", model=lua("", sizes=SIZES, flags={"attention": "none"}).spec)
    yield case("GRU", model=lua("", sizes=SIZES, flags={"rnn_type": "GRU"}).spec)
    params = {
        "attention.params": {"num_units": 8},
        "decoder.params": {"rnn_cell": GOOGLE_CELLS["BasicLSTM"]},
        "source.reverse": True,
    }
    yield case("coverage", {"n_best": 5}, model=with_coverage(spec))
    yield case("copying", {"n_best": 5}, model=with_copying(spec), references=True)
    yield case("AttentionSeq2Seq", model=google("", "AttentionSeq2Seq", params, sizes=SIZES).spec)


FEW = ("beam 5", "copying", "norms, n_best 5", "-limit_lexical_constraints", "restrictions", "samples")
"""The searches that the default test suite checks."""
