"""What a model of docs/results.md has to beat, and how far it gets. Standard library only.

python docs/baselines.py tags TRAIN_WORDS TRAIN_TAGS WORDS TAGS PREDICTED_TAGS
python docs/baselines.py unigram VOCABULARY TRAIN_TEXT TEXT LM_SCORES
python docs/baselines.py majority TRAIN_ANSWERS ANSWERS PREDICTED_ANSWERS    (the first two with keys)
"""

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

Tokens = list[str]


def read_tokens(path: str) -> list[Tokens]:
    """The lines of a file, split at blanks."""
    lines = Path(path).read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    return [[token for token in line.split(" ") if token] for line in lines]


def most_frequent_tags(words: list[Tokens], tags: list[Tokens], tested: list[Tokens]) -> list[Tokens]:
    """For every tested word the tag it has most often in training; for new words the most frequent of all."""
    by_word: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for word, tag in pairs(words, tags):
        by_word[word][tag] += 1
    overall = Counter(tag for _, tag in pairs(words, tags)).most_common(1)[0][0]
    known = {word: counts.most_common(1)[0][0] for word, counts in by_word.items()}
    return [[known.get(word, overall) for word in line] for line in tested]


def pairs(one: list[Tokens], other: list[Tokens]) -> Iterator[tuple[str, str]]:
    """Tokens of two files that correspond."""
    for line, corresponding in zip(one, other, strict=True):
        yield from zip(line, corresponding, strict=True)


def token_accuracy(wanted: list[Tokens], found: list[Tokens]) -> float:
    """Share of equal tokens."""
    compared = [one == other for one, other in pairs(wanted, found)]
    return sum(compared) / len(compared)


def unigram_perplexity(vocabulary: set[str], train: list[Tokens], tested: list[Tokens]) -> float:
    """exp(-sum log p(word) / sum (n + 1)), p the share of a word in training; others count as one word.

    `n + 1` is what tools/lm.py divides by; it does not score the end of a sentence, so neither does this.
    """
    known = [[word if word in vocabulary else "<unk>" for word in line] for line in train]
    counts = Counter(word for line in known for word in line)
    total = counts.total()
    words = [word if word in vocabulary else "<unk>" for line in tested for word in line]
    loss = -sum(math.log(counts[word] / total) for word in words)
    return math.exp(loss / sum(len(line) + 1 for line in tested))


def model_perplexity(scores: list[float], tested: list[Tokens]) -> float:
    """The same from tools/lm.py's line scores, each a loss over n + 1."""
    weights = [len(line) + 1 for line in tested]
    loss = sum(score * weight for score, weight in zip(scores, weights, strict=True))
    return math.exp(loss / sum(weights))


def majority_share(train: list[Tokens], wanted: list[Tokens]) -> float:
    """Share of lines that are the most frequent line of training."""
    answer = Counter(map(tuple, train)).most_common(1)[0][0]
    return sum(tuple(line) == answer for line in wanted) / len(wanted)


def line_accuracy(wanted: list[Tokens], found: list[Tokens]) -> float:
    """Share of equal lines."""
    return sum(one == other for one, other in zip(wanted, found, strict=True)) / len(wanted)


def main(arguments: Sequence[str]) -> None:
    """Print the baseline and the model's result."""
    kind, *paths = arguments
    if kind == "unigram":
        vocabulary = {line[0] for line in read_tokens(paths[0])[4:]}
        train, tested, scores = map(read_tokens, paths[1:])
        print(f"unigram perplexity {unigram_perplexity(vocabulary, train, tested):.2f}")
        print(f"model perplexity {model_perplexity([float(line[0]) for line in scores], tested):.2f}")
    elif kind == "tags":
        words, tags, tested, wanted, found = map(read_tokens, paths)
        print(f"most frequent tag {token_accuracy(wanted, most_frequent_tags(words, tags, tested)):.2%}")
        print(f"model {token_accuracy(wanted, found):.2%}")
    else:
        train, wanted = ([answer for _key, *answer in read_tokens(path)] for path in paths[:2])
        print(f"majority answer {majority_share(train, wanted):.1%}")
        print(f"model {line_accuracy(wanted, read_tokens(paths[2])):.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
