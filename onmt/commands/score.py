"""`tools/score.py`: scores the translations on standard input against references."""

import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from onmt.commandline.declare import at_least, between, not_empty, option
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.errors import DataError
from onmt.logger import Logger, LoggerOptions
from onmt.scorers import (
    BLEU_ORDER,
    MULTI_REFERENCE,
    SCORERS,
    CorpusScorer,
    Sentence,
    TranslationMetric,
    corpus_bleu,
)
from onmt.text.lines import decode_lines, read_text_lines, split_at_white_space
from onmt.text.options import SegmentationOptions
from onmt.text.tokenizer import Tokenizer

# Seed of the random samples, so that the same files give the same margin.
_SAMPLE_SEED: Final = 3435

# Half the width of the 95 % confidence interval of a normal variable, in standard deviations.
_CONFIDENCE: Final = 1.96

_MAX: Final = SegmentationOptions(
    mode="aggressive",
    segment_alphabet=("Han", "Kanbun", "Katakana", "Hiragana"),
    segment_alphabet_change=True,
)


@dataclass(frozen=True, kw_only=True)
class ScorerOptions:
    """Scorer"""

    rfilestem: str = option(
        "",
        "Reference file, one reference per line, or the beginning of the names of several: `REF`, and "
        "`REF0`, `REF1` and so on, as far as they exist.",
        required=True,
        positional=True,
        valid=not_empty,
        reads=("{}", "{}[0-9]*"),
    )
    scorer: TranslationMetric = option(  # noqa: RUF009 - ruff does not see through the alias
        "bleu",
        "`bleu`: BLEU as multi-bleu.perl computes it, without smoothing. `ter`: translation edit rate. "
        "`dlratio`: restricted Damerau-Levenshtein distance in bytes, divided by the length of the first "
        "reference in bytes.",
    )
    sample: int = option(
        1,
        "Above 1: number of random halves of the text; their mean score is printed, with 1.96 standard "
        "deviations as its margin.",
        valid=at_least(0),
    )
    decimals: int = option(
        2, "Number of decimals of the score and its margin, which are percentages.", valid=between(0, 15)
    )
    order: int = option(BLEU_ORDER, "Longest n-grams that BLEU counts, in words.", valid=at_least(1))
    tokenizer: Literal["space", "max"] = option(
        "space",
        "How lines are tokenized before scoring. `space`: at white space, for tokenized text. `max`: as "
        "with -mode aggressive, and East Asian text into characters, for detokenized text.",
    )


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(ScorerOptions, LoggerOptions):
    """Score"""


def _score(parsed: Parsed[ScoreOptions], logger: Logger) -> None:
    """Print score, margin (empty without samples) and detail, separated by tabs."""
    options = parsed.options
    cut = split_at_white_space if options.tokenizer == "space" else Tokenizer(_MAX).tokenize
    references = [
        list(map(cut, read_text_lines(path))) for path in reference_files(options.rfilestem, options.scorer)
    ]
    hypotheses = list(map(cut, decode_lines(sys.stdin.buffer, "standard input")))
    scorer = (
        partial(corpus_bleu, order=options.order) if options.scorer == "bleu" else SCORERS[options.scorer]
    )
    score = scorer(hypotheses, references)
    value, margin = score.value, ""
    if options.sample > 1:
        value, half_width = sampled(scorer, hypotheses, references, options.sample)
        margin = f"+/-{100 * half_width:.{options.decimals}f}"
    print(f"{100 * value:.{options.decimals}f}\t{margin}\t{score.detail}")


score = Command(
    Script(
        name="tools/score.py",
        summary="Scores the translations on standard input, one per line, against references.",
        choose=lambda _: ScoreOptions,
        data_on_stdout=lambda _: True,
    ),
    _score,
)


def reference_files(stem: str, scorer: str) -> list[str]:
    """Return the reference files that exist: `REF`, `REF0`, `REF1` and so on.

    Returns only the first if the score cannot use several. Raises DataError when there is none.
    """
    numbered: list[str] = []
    while Path(f"{stem}{len(numbered)}").is_file():
        numbered.append(f"{stem}{len(numbered)}")
    files = [*([stem] if Path(stem).is_file() else []), *numbered]
    if not files:
        raise DataError(f"there is no reference: neither a file '{stem}' nor '{stem}0'")
    return files if scorer in MULTI_REFERENCE else files[:1]


def sampled(
    scorer: CorpusScorer, hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]], count: int
) -> tuple[float, float]:
    """Return the mean score of `count` random halves of a text, and its 95 % margin.

    Raises DataError for a text of fewer than two sentences, which has no half.
    """
    if len(hypotheses) < 2:
        raise DataError("-sample needs two sentences at least")
    generator = random.Random(_SAMPLE_SEED)
    values = []
    for _ in range(count):
        chosen = generator.sample(range(len(hypotheses)), len(hypotheses) // 2)
        half = [[reference[index] for index in chosen] for reference in references]
        values.append(scorer([hypotheses[index] for index in chosen], half).value)
    return statistics.fmean(values), _CONFIDENCE * statistics.stdev(values)
