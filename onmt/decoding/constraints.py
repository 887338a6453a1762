"""Constraints on single candidates: small functions that mark what may not enter the beam."""

import torch
from torch import Tensor

from onmt.constants import EOS, UNK
from onmt.decoding.step import Beam, Candidates, Prune, SearchSettings


def empty_output(candidates: Candidates) -> Tensor:
    """Marks `</s>`; for the first step, where it would make the output empty."""
    return candidates.tokens == EOS


def too_many_unknowns(candidates: Candidates, beam: Beam, limit: int) -> Tensor:
    """Marks hypotheses that would have more than `limit` `<unk>`."""
    unknowns = beam.unknowns.gather(1, candidates.parents) + (candidates.tokens == UNK)
    return unknowns > limit


def pruning(beam: Beam, step: int, settings: SearchSettings) -> Prune | None:
    """What to prune in this step; None if nothing can be."""
    forbid_empty = step == 1 and settings.finished == "retire"
    limit = settings.max_unknowns
    if not forbid_empty and limit is None:
        return None

    def prune(candidates: Candidates) -> Tensor:
        marked = torch.zeros_like(candidates.tokens, dtype=torch.bool)
        if forbid_empty:
            marked = marked | empty_output(candidates)
        if limit is not None:
            marked = marked | too_many_unknowns(candidates, beam, limit)
        return marked

    return prune
