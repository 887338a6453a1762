"""What translation can be asked. No torch here."""

import math
from dataclasses import dataclass

from onmt.commandline.declare import option
from onmt.commandline.validators import at_least, existing_file_or_empty, existing_model_or_empty
from onmt.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class TranslatorOptions:
    """Translator"""

    lm_model: str = option(
        "",
        "A language model over the same target vocabulary; its scores are added at every step.",
        valid=existing_model_or_empty,
    )
    lm_weight: float = option(0.1, "Factor of the language model's log-probabilities.")
    beam_size: int = option(5, "Hypotheses kept per sentence; 1 is greedy search.", valid=at_least(1))
    max_sent_length: int = option(250, "Longest translation, in words.", valid=at_least(1))
    replace_unk: bool = option(
        False,
        "Replace each generated `<unk>` by the translation that -phrase_table has for the source word "
        "it attends to most, or else by that source word.",
    )
    replace_unk_tagged: bool = option(
        False,
        "As -replace_unk, but a source word that stays as it is comes as `｟unk:word｠`. "
        "-replace_unk has precedence.",
    )
    lexical_constraints: bool = option(
        False,
        "For every source word of -phrase_table its translation must be part of the output, "
        "if the target vocabulary has it.",
    )
    limit_lexical_constraints: bool = option(
        False, "A word that -lexical_constraints asks for comes no more often than it is asked for."
    )
    placeholder_constraints: bool = option(
        False,
        "Every placeholder (`｟...｠`) of the source must be part of the output, and no other one may, "
        "as far as the target vocabulary has them.",
    )
    phrase_table: str = option(
        "",
        "File of `source word ||| target word` lines, for -replace_unk and -lexical_constraints.",
        valid=existing_file_or_empty,
    )
    n_best: int = option(
        1, "Translations to give per sentence, the best first; at most -beam_size.", valid=at_least(1)
    )
    max_num_unks: float = option(
        math.inf, "Hypotheses with more `<unk>` than this are given up.", valid=at_least(1)
    )
    target_subdict: str = option(
        "",
        "File of the target words that may be used, one per line; `<unk>` may always.",
        valid=existing_file_or_empty,
    )
    pre_filter_factor: int = option(
        1,
        "Hypotheses are given up (-max_num_unks) among the best -beam_size times this many; with more, "
        "others fill their places.",
        valid=at_least(1),
    )
    length_norm: float = option(
        0.0,
        "Exponent alpha of the length normalization of scores, ((5 + length) / 6)^alpha; 0: none.",
        valid=at_least(0),
    )
    coverage_norm: float = option(
        0.0,
        "Factor beta of the penalty for source words that received little attention; 0: none.",
        valid=at_least(0),
    )
    eos_norm: float = option(
        0.0,
        "Factor gamma by which the log-probability of the end is multiplied, times source length over output "
        "length; 0: none.",
        valid=at_least(0),
    )
    dump_input_encoding: bool = option(
        False, "Write a vector per sentence, the encoder's last state, instead of translating."
    )
    save_beam_to: str = option("", "JSON file for all hypotheses that the search looked at.")

    def check(self) -> None:
        """Refuse what would otherwise be ignored or fail later."""
        if self.n_best > self.beam_size:
            raise OptionError(
                f"-n_best {self.n_best}: the beam has only {self.beam_size} hypotheses; "
                "-beam_size must be at least as large"
            )
        if self.max_num_unks != math.inf and self.max_num_unks != int(self.max_num_unks):
            raise OptionError("invalid argument for option -max_num_unks: it must be an integer")
        if self.lexical_constraints and not self.phrase_table:
            raise OptionError("-lexical_constraints needs -phrase_table, where the translations come from")
        if self.limit_lexical_constraints and not self.lexical_constraints:
            raise OptionError("-limit_lexical_constraints needs -lexical_constraints")

    @property
    def replaces_unknown_words(self) -> bool:
        """Attention is needed to replace `<unk>`."""
        return self.replace_unk or self.replace_unk_tagged
