"""The keyword arguments of the Python API that are flags of translate.py. No torch here.

A test holds them against the flags' declarations.
"""

from typing import TypedDict


class TranslatorKeywords(TypedDict, total=False):
    """Flags of translate.py about the search, with the same meaning and the same defaults."""

    lm_model: str
    lm_weight: float
    beam_size: int
    max_sent_length: int
    replace_unk: bool
    replace_unk_tagged: bool
    lexical_constraints: bool
    limit_lexical_constraints: bool
    placeholder_constraints: bool
    phrase_table: str
    n_best: int
    max_num_unks: float
    target_subdict: str
    pre_filter_factor: int
    length_norm: float
    coverage_norm: float
    eos_norm: float
