"""Options that restrict or randomise the search. Torch-free."""

from dataclasses import dataclass

from onmt.commandline.declare import at_least, between, not_empty, option
from onmt.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class RestrictionOptions:
    """Restriction"""

    min_length: int = option(
        0, "Shortest translation, in words: the end may not come earlier.", valid=at_least(0)
    )
    block_ngram_repeat: int = option(
        0,
        "No sequence of this many words appears twice in a translation; 0: any may. Words that constraints "
        "ask for come all the same.",
        valid=at_least(0),
    )
    ignore_when_blocking: tuple[str, ...] = option(
        (),
        "Words of the target vocabulary; a sequence that contains one of them may appear again.",
        valid=not_empty,
        whole=True,
    )
    ban_unk: bool = option(False, "Never generate `<unk>`.")

    def check(self) -> None:
        """Refuse what would have no effect."""
        if self.ignore_when_blocking and not self.block_ngram_repeat:
            raise OptionError("-ignore_when_blocking needs -block_ngram_repeat, to which it makes exceptions")


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Sampling"""

    random_sampling_topk: int = option(
        0,
        "Draw each word at random among this many likeliest ones instead of searching the best translation; "
        "-1: among all; 0: no sampling, unless -top_p is given.",
        valid=at_least(-1),
    )
    top_p: float = option(
        0.0,
        "Draw each word at random among the likeliest ones whose probabilities add up to this; 0: no limit.",
        valid=between(0, 1),
    )
    random_sampling_temp: float = option(
        1.0,
        "Divides the log-probabilities from which sampling draws: below 1 favours likely words, above 1 "
        "unlikely ones.",
        valid=between(0.0001, 10000),
    )
    seed: int = option(
        3435,
        "Seed of what sampling draws; with the number of the sentence it decides the samples.",
        valid=at_least(0),
    )

    @property
    def samples(self) -> bool:
        """Words are drawn at random."""
        return self.random_sampling_topk != 0 or self.top_p > 0

    def check(self) -> None:
        """Refuse what would have no effect."""
        if self.random_sampling_temp != 1 and not self.samples:
            raise OptionError(
                "-random_sampling_temp needs -random_sampling_topk (-1 for the whole vocabulary) or -top_p"
            )
