"""Corpus scores of translations: BLEU, translation edit rate, Damerau-Levenshtein ratio and ROUGE.

Hypotheses: one list of words per sentence. References: one such list of sentences per set of references, so
that `references[r][i]` is the r-th reference of sentence i; a single set is `[reference_sentences]`.
Sources: onmt/scorers/bleu.lua, tercom.lua, dlratio.lua.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from onmt.errors import DataError
from onmt.text.edit_rate import Edits, edits

Sentence = Sequence[str]
TranslationMetric = Literal["bleu", "dlratio", "ter"]
RougeKind = Literal["rouge1", "rouge2", "rougeL"]

# The default length of the longest n-grams that BLEU counts.
BLEU_ORDER: Final = 4


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score and its details.

    value: a fraction, not a percentage. Higher is better for BLEU and ROUGE, lower for the other two.
    detail: the line that tools/score.py prints.
    """

    value: float
    detail: str


@dataclass(frozen=True, kw_only=True)
class BleuScore(Score):
    """Corpus BLEU; `precisions` are fractions too, from unigrams up."""

    precisions: tuple[float, ...]
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int


def corpus_bleu(
    hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]], order: int = BLEU_ORDER
) -> BleuScore:
    """Return BLEU as multi-bleu.perl computes it: words as given, no smoothing, closest reference length.

    Papineni et al. 2002. The score is zero if for some order no n-gram occurs in a reference. Of two
    references equally close in length, the shorter one counts. Raises DataError when the numbers of sentences
    differ.
    """
    from sacrebleu.metrics.bleu import BLEU  # here, because training without this metric does not need it

    _check_lengths(hypotheses, references)
    correct, total = [0] * order, [0] * order
    hypothesis_length = reference_length = 0
    for index, hypothesis in enumerate(hypotheses):
        alternatives = [reference[index] for reference in references]
        hypothesis_length += len(hypothesis)
        lengths = (len(reference) for reference in alternatives)
        reference_length += min(lengths, key=lambda length: (abs(length - len(hypothesis)), length))
        for n in range(1, order + 1):
            found = _ngrams(hypothesis, n)
            correct[n - 1] += (found & _allowed_ngrams(alternatives, n)).total()
            total[n - 1] += found.total()
    sizes = (hypothesis_length, reference_length)
    result = BLEU.compute_bleu(correct, total, *sizes, smooth_method="none", max_ngram_order=order)
    percentages = "/".join(f"{precision:.1f}" for precision in result.precisions)
    return BleuScore(
        value=result.score / 100,
        detail=f"BLEU = {result.score:.2f}, {percentages} (BP={result.bp:.3f}, ratio={result.ratio:.3f}, "
        f"hyp_len={hypothesis_length}, ref_len={reference_length})",
        precisions=tuple(precision / 100 for precision in result.precisions),
        brevity_penalty=result.bp,
        hypothesis_length=hypothesis_length,
        reference_length=reference_length,
    )


def _allowed_ngrams(references: Sequence[Sentence], n: int) -> Counter[tuple[str, ...]]:
    """Each n-gram as often as the reference that has most of it."""
    allowed: Counter[tuple[str, ...]] = Counter()
    for reference in references:
        allowed |= _ngrams(reference, n)
    return allowed


def _ngrams(words: Sentence, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def corpus_ter(hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]]) -> Score:
    """Return the translation edit rate: word edits divided by reference words, see `onmt.text.edit_rate`.

    Each sentence is compared with the reference that needs the fewest edits; its reference length is the
    average over its references. The counts by kind of edit in `detail` are averages per sentence, weighted by
    these lengths. Raises DataError when the numbers of sentences differ.
    """
    _check_lengths(hypotheses, references)
    total_edits = 0
    total_length = 0.0
    kinds = [0.0] * 5
    for index, hypothesis in enumerate(hypotheses):
        alternatives = [reference[index] for reference in references]
        length = sum(len(reference) for reference in alternatives) / len(alternatives)
        best = min(
            (edits(hypothesis, reference) for reference in alternatives), key=lambda found: found.total
        )
        total_edits += best.total
        total_length += length
        for position, count in enumerate(_counts(best)):
            kinds[position] += count * length
    value = _ratio(total_edits, total_length)
    insertions, deletions, substitutions, shifts, shifted_words = (
        kind / total_length if total_length else 0.0 for kind in kinds
    )
    detail = (
        f"TER = {value * 100:.2f} (Ins {insertions:.1f}, Del {deletions:.1f}, Sub {substitutions:.1f}, "
        f"Shft {shifts:.1f}, WdSh {shifted_words:.1f})"
    )
    return Score(value=value, detail=detail)


def _counts(found: Edits) -> tuple[int, int, int, int, int]:
    return found.insertions, found.deletions, found.substitutions, found.shifts, found.shifted_words


def corpus_dlratio(hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]]) -> Score:
    """Return the Damerau-Levenshtein distance divided by the length of the references.

    Both are counted in bytes, over words joined by blanks. The distance is the restricted one (optimal string
    alignment): neighbouring bytes may be swapped, but no position is edited twice. Only the first set of
    references is used. Raises DataError when the numbers of sentences differ.
    """
    from rapidfuzz.distance import OSA

    _check_lengths(hypotheses, references)
    distance = length = 0
    for hypothesis, reference in zip(hypotheses, references[0], strict=True):
        wanted = " ".join(reference).encode()
        distance += OSA.distance(" ".join(hypothesis).encode(), wanted)
        length += len(wanted)
    value = _ratio(distance, length)
    return Score(value=value, detail=f"DLratio = {value:.4f} (distance={distance}, ref_bytes={length})")


def rouge(kind: RougeKind, hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]]) -> Score:
    """Return the mean F1 of ROUGE-1, -2 or -L (Lin 2004) by the rouge-score package, without stemming."""
    from rouge_score.rouge_scorer import RougeScorer  # slow to import

    _check_lengths(hypotheses, references)
    scorer = RougeScorer([kind], tokenizer=_Words())
    values = [
        scorer.score_multi([" ".join(reference[place]) for reference in references], " ".join(hypothesis))[
            kind
        ].fmeasure
        for place, hypothesis in enumerate(hypotheses)
    ]
    value = sum(values) / len(values) if values else 0.0
    return Score(value=value, detail=f"{kind} = {value:.4f} (sentences={len(values)})")


class _Words:
    """Splits text at blanks; rouge-score's own tokenizer keeps ASCII letters and digits only."""

    def tokenize(self, text: str) -> list[str]:
        return text.split(" ") if text else []


CorpusScorer = Callable[[Sequence[Sentence], Sequence[Sequence[Sentence]]], Score]

# The scores by their names in `-scorer` and `-validation_metric`.
SCORERS: Final[Mapping[str, CorpusScorer]] = {
    "bleu": corpus_bleu,
    "dlratio": corpus_dlratio,
    "ter": corpus_ter,
}

# Further scores that `-log_metrics` accepts.
ROUGE_SCORERS: Final[Mapping[str, CorpusScorer]] = {
    "rouge_1": partial(rouge, "rouge1"),
    "rouge_2": partial(rouge, "rouge2"),
    "rouge_l": partial(rouge, "rougeL"),
}

# The names in SCORERS that can use several references of a sentence.
MULTI_REFERENCE: Final = frozenset({"bleu", "ter"})


def sentence_score(scorer: CorpusScorer, hypothesis: Sentence, references: Sequence[Sentence]) -> Score:
    """Return the score of a single sentence against any number of references."""
    return scorer([hypothesis], [[reference] for reference in references])


def _ratio(edit_count: int, length: float) -> float:
    """Return edits per unit of reference length; for empty references, 1 if there is any edit, else 0."""
    if length:
        return edit_count / length
    return 1.0 if edit_count else 0.0


def _check_lengths(hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]]) -> None:
    if not references:
        raise DataError("there is no reference to score against")
    for number, reference in enumerate(references, start=1):
        if len(reference) != len(hypotheses):
            raise DataError(
                f"there are {len(hypotheses)} hypotheses, but reference {number} has {len(reference)} lines"
            )
