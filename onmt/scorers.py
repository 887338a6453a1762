"""Scores of translations: BLEU, translation edit rate, Damerau-Levenshtein ratio of a whole corpus.

Hypotheses are one list of words per sentence. References are one such list of sentences per set of
references: `references[r][i]` is the r-th reference of sentence i, a single set is `[reference_sentences]`.
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

# The orders of n-grams that BLEU counts unless told otherwise.
BLEU_ORDER: Final = 4


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score and how it came about.

    value: a fraction, not a percentage; BLEU is better when higher, the two others when lower.
    detail: the line that tools/score.py prints.
    """

    value: float
    detail: str


@dataclass(frozen=True, kw_only=True)
class BleuScore(Score):
    """Corpus BLEU; the precisions, from single words up, are fractions too."""

    precisions: tuple[float, ...]
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int


def corpus_bleu(
    hypotheses: Sequence[Sentence], references: Sequence[Sequence[Sentence]], order: int = BLEU_ORDER
) -> BleuScore:
    """BLEU as multi-bleu.perl counts it: words as they are, no smoothing, the closest reference length.

    Papineni et al. 2002. Zero if no n-gram of some order occurs in a reference. Of two references equally
    close in length the shorter one counts. Raises DataError when the numbers of sentences differ.
    """
    from sacrebleu.metrics.bleu import BLEU  # here, because training without this metric can do without it

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
    """Translation edit rate: word edits over words of the references, see `onmt.text.edit_rate`.

    Each sentence is held against the reference with the fewest edits, and counts with the average length of
    its references. The kinds of edits in `detail` are per sentence, averaged with these lengths as weights.
    Raises DataError when the numbers of sentences differ.
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
    """Damerau-Levenshtein distance over the length of the references, in bytes of the blank-joined words.

    The distance is the restricted one (optimal string alignment): neighbouring bytes may change places, but a
    place is edited once only. Only the first set of references counts. Raises DataError when the numbers of
    sentences differ.
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
    """Mean F1 of ROUGE-1, -2 or -L (Lin 2004) by the rouge-score package, without stemming."""
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
    """rouge-score's own tokenizer keeps ASCII letters and digits only."""

    def tokenize(self, text: str) -> list[str]:
        return text.split(" ") if text else []


CorpusScorer = Callable[[Sequence[Sentence], Sequence[Sequence[Sentence]]], Score]

# What `-scorer` and `-validation_metric` call the scores.
SCORERS: Final[Mapping[str, CorpusScorer]] = {
    "bleu": corpus_bleu,
    "dlratio": corpus_dlratio,
    "ter": corpus_ter,
}

# Those that `-log_metrics` knows beside these.
ROUGE_SCORERS: Final[Mapping[str, CorpusScorer]] = {
    "rouge_1": partial(rouge, "rouge1"),
    "rouge_2": partial(rouge, "rouge2"),
    "rouge_l": partial(rouge, "rougeL"),
}

# Those that can use several references of a sentence.
MULTI_REFERENCE: Final = frozenset({"bleu", "ter"})


def sentence_score(scorer: CorpusScorer, hypothesis: Sentence, references: Sequence[Sentence]) -> Score:
    """The score of one sentence by itself, against any number of references of it."""
    return scorer([hypothesis], [[reference] for reference in references])


def _ratio(edit_count: int, length: float) -> float:
    """Edits per unit of the references; without any reference text, all wrong if there is an edit at all."""
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
