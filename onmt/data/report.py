"""What preprocessing tells about the sentences it kept and dropped."""

from collections.abc import Sequence
from typing import Final

from onmt.data.encoding import SideRules, SideTally, Tally

_WORTH_A_WARNING: Final = 0.05  # of all sentences dropped


def describe_file(path: str, total: int, tally: Tally, rules: Sequence[SideRules]) -> str:
    """The line about one file (its source): how many sentences it has, how many were drawn and kept."""
    unknown = ", ".join(
        f"{side.name} = {100 * seen.unknown_sum / max(tally.kept, 1):.1f}%"
        for side, seen in zip(rules, tally.sides, strict=True)
        if side.encoder is not None
    )
    counts = f"{total} total, {tally.read} drawn, {tally.kept} kept"
    return f" * [-] file '{path}' (): {counts} - unknown words: {unknown}"


def describe_tally(tally: Tally, rules: Sequence[SideRules]) -> list[str]:
    """The lines about all sentences together."""
    sides = list(zip(rules, tally.sides, strict=True))
    averages = ", ".join(f"{side.name} = {seen.length_sum / tally.kept:.1f}" for side, seen in sides)
    return [
        f"Prepared {tally.kept} sentences:",
        f" * {tally.dropped.total()} sequences not validated (length, other)",
        *(
            f"   - {reason}: {count} ({100 * count / tally.read:.1f}%)"
            for reason, count in tally.dropped.most_common()
        ),
        f" * average sequence length: {averages}",
        *(f" * {side.name} sentence length (range of 10): {_bins(seen, tally.kept)}" for side, seen in sides),
    ]


def worth_a_warning(tally: Tally) -> str | None:
    """A warning when many sentences were dropped."""
    dropped = tally.dropped.total()
    if dropped <= _WORTH_A_WARNING * tally.read:
        return None
    return f"{dropped} of {tally.read} sentences were dropped ({100 * dropped / tally.read:.1f}%)"


def _bins(side: SideTally, kept: int) -> str:
    return "[ " + " ; ".join(f"{100 * count // kept}%" for count in side.length_bins) + " ]"
