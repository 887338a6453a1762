"""Preparing a source for the encoder: end symbol, length limit and reversal, compared with lists."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.constants import EOS
from onmt.models.base import in_original_order, transform_source
from onmt.spec.model import PolicySpec

POLICIES = st.builds(
    PolicySpec, source_end_symbol=st.booleans(), source_limit=st.integers(0, 6), source_reverse=st.booleans()
)


def read(words: list[int], policies: PolicySpec) -> tuple[list[int], list[int]]:
    """Return the ids that the encoder reads and the source position of each."""
    ended = [*words, *[EOS] * policies.source_end_symbol][: policies.source_limit or None]
    places = list(range(len(ended)))
    return (ended[::-1], places[::-1]) if policies.source_reverse else (ended, places)


@settings(deadline=None, max_examples=60)
@given(
    sources=st.lists(st.lists(st.integers(4, 9), min_size=1, max_size=7), min_size=1, max_size=3),
    policies=POLICIES,
    beam=st.integers(1, 3),
)
def test_words_are_read_as_said_and_attention_is_put_back(
    sources: list[list[int]], policies: PolicySpec, beam: int
) -> None:
    longest = max(map(len, sources))
    padded = torch.tensor([words + [0] * (longest - len(words)) for words in sources])
    src, lengths, order = transform_source(
        padded[..., None], torch.tensor([len(words) for words in sources]), policies
    )
    width = src.shape[1]
    attention = torch.rand(len(sources) * beam, width, generator=torch.Generator().manual_seed(1))
    put_back = attention if order is None else in_original_order(attention, order)
    for row, words in enumerate(sources):
        found, places = read(words, policies)
        assert src[row, :, 0].tolist() == found + [0] * (width - len(found))
        assert int(lengths[row]) == len(found)
        for slot in range(row * beam, (row + 1) * beam):
            expected = [
                float(attention[slot, places.index(place)]) if place in places else 0.0
                for place in range(len(words))
            ]
            assert put_back[slot, : len(words)].tolist() == expected
