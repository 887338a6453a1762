"""Options of translate.py, and of the search wherever it translates. Torch-free."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from onmt.commandline.declare import (
    at_least,
    between,
    existing_file,
    existing_file_or_empty,
    existing_model,
    existing_model_or_empty,
    not_empty,
    option,
)
from onmt.commandline.schema import any_given
from onmt.commandline.script import Implied
from onmt.errors import OptionError
from onmt.google.inference_flags import inference_flags
from onmt.google.options import GoogleInferenceOptions
from onmt.hooks import HookOptions
from onmt.logger import LoggerOptions
from onmt.runtime.options import DeviceOptions
from onmt.text.options import TokenizerOptions, on_the_fly


@dataclass(frozen=True, kw_only=True)
class _RestrictionOptions:
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
        """Raise OptionError for options that would have no effect."""
        if self.ignore_when_blocking and not self.block_ngram_repeat:
            raise OptionError("-ignore_when_blocking needs -block_ngram_repeat, to which it makes exceptions")


@dataclass(frozen=True, kw_only=True)
class _SamplingOptions:
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
        """Raise OptionError for options that would have no effect."""
        if self.random_sampling_temp != 1 and not self.samples:
            raise OptionError(
                "-random_sampling_temp needs -random_sampling_topk (-1 for the whole vocabulary) or -top_p"
            )


@dataclass(frozen=True, kw_only=True)
class TranslatorOptions(_RestrictionOptions, _SamplingOptions):
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
        "File of `source word ||| target word` lines, or with a tab between the two, for -replace_unk and "
        "-lexical_constraints.",
        valid=existing_file_or_empty,
    )
    n_best: int = option(
        1,
        "Translations to give per sentence, the best first; at most -beam_size. With sampling: independent "
        "samples.",
        valid=at_least(1),
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
        False,
        "Write a vector per sentence, the encoder's last state, instead of translating; an empty line for an "
        "empty sentence, whatever -n_best says.",
    )
    save_beam_to: str = option(
        "",
        "File for all hypotheses that the search looked at, as JSON, with an entry per sentence (no steps "
        "for an empty one); a name ending in .npz gets numpy arrays.",
        writes=("{}",),
    )

    def check(self) -> None:
        """Raise OptionError for options that would be ignored or fail later."""
        if self.samples:
            self._check_sampling()
        elif self.n_best > self.beam_size:
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
        if self.min_length > self.max_sent_length:
            raise OptionError(
                f"-min_length {self.min_length} is larger than -max_sent_length {self.max_sent_length}"
            )
        if self.ban_unk and (self.replaces_unknown_words or self.max_num_unks != math.inf):
            raise OptionError(
                "-ban_unk leaves no `<unk>` to -replace_unk, -replace_unk_tagged and -max_num_unks: give one"
            )

    def _check_sampling(self) -> None:
        """Raise OptionError for options that need a beam."""
        if self.beam_size > 1:
            raise OptionError(
                f"-random_sampling_topk and -top_p need -beam_size 1, not {self.beam_size}: "
                "-n_best is the number of samples"
            )
        for flag, given in (
            ("max_num_unks", self.max_num_unks != math.inf),
            ("pre_filter_factor", self.pre_filter_factor != 1),
            ("eos_norm", self.eos_norm != 0),
            ("lexical_constraints", self.lexical_constraints),
            ("placeholder_constraints", self.placeholder_constraints),
        ):
            if given:
                raise OptionError(f"-{flag} is for beam search: sampling draws from the model alone")

    def check_copying(self) -> None:
        """Raise OptionError for options that do not go with a model that copies source words."""
        for flag, given in (("lm_model", self.lm_model), ("target_subdict", self.target_subdict)):
            if given:
                raise OptionError(
                    f"-{flag} knows the target vocabulary only, but this model (-copy_attn) writes other "
                    "source words, too: leave it out"
                )

    @property
    def replaces_unknown_words(self) -> bool:
        """`<unk>` is replaced, which needs attention."""
        return self.replace_unk or self.replace_unk_tagged

    @property
    def constrains(self) -> bool:
        """Translations must contain certain words of their source."""
        return self.lexical_constraints or self.placeholder_constraints

    @property
    def needs_lexicon(self) -> bool:
        """An option needs a `Lexicon`."""
        files = self.phrase_table or self.target_subdict
        return bool(files) or self.constrains or self.replaces_unknown_words


@dataclass(frozen=True, kw_only=True)
class TranslateDataOptions:
    """Data"""

    src: str = option(
        "",
        "File to translate, a sentence per line; `-` reads standard input. For a model that reads images: "
        "the path of an image per line, from the folder of the list unless absolute; what follows a tab is "
        "left out.",
        valid=existing_file,
        required=True,
    )
    tgt: str = option("", "File of reference translations to score.", valid=existing_file_or_empty)
    output: str = option(
        "pred.txt",
        "File for the translations: -n_best lines per sentence, empty ones for a sentence without tokens and "
        "for translations that the search could not find; `-` writes standard output.",
        valid=not_empty,
        writes=("{}",),
    )
    save_attention: str = option(
        "",
        "File for the attention weights of every translation, under the number of its sentence (an empty "
        "sentence has none); a name ending in .npz gets a numpy array for each line of -output instead.",
        writes=("{}",),
    )
    plot_attention: str = option(
        "",
        "Folder for a picture of each sentence's attention in its best translation, 00000.png the first. "
        "Needs matplotlib.",
        writes=("{}",),
    )
    batch_size: int = option(30, "Sentences to translate at a time.", valid=at_least(1))
    idx_files: bool = option(
        False,
        "Each line starts with a key and a blank, and source and reference belong together by their keys. "
        "Always so where the source is vectors.",
    )
    detokenize_output: bool = option(False, "Write plain text: undo what the -tok_tgt_* options say.")


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions:
    """Translator"""

    ensemble: Literal["mean", "log_mean"] = option(
        "mean",
        "With several models: average probabilities, or log-probabilities (`log_mean`).",
    )


@dataclass(frozen=True, kw_only=True)
class TranslationModelOptions(EnsembleOptions):
    """Translator"""

    model: tuple[str, ...] = option(
        (),
        "Model to translate with. Several models with one target vocabulary are an ensemble; the first says "
        "how to search.",
        valid=existing_model,
        required=True,
        whole=True,
    )


@dataclass(frozen=True, kw_only=True)
class _OnTheFlyTokenizerOptions:
    """Tokenizer"""

    tok_src: TokenizerOptions = on_the_fly("tok_src_")  # noqa: RUF009 - makes a field
    tok_tgt: TokenizerOptions = on_the_fly("tok_tgt_")  # noqa: RUF009


@dataclass(frozen=True, kw_only=True)
class TimeOptions:
    """Other"""

    time: bool = option(False, "Log the average time that a sentence took.")


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(
    TranslateDataOptions,
    GoogleInferenceOptions,
    TranslationModelOptions,
    TranslatorOptions,
    _OnTheFlyTokenizerOptions,
    DeviceOptions,
    HookOptions,
    LoggerOptions,
    TimeOptions,
):
    """Translate"""

    @property
    def writes_data_to_stdout(self) -> bool:
        """Standard output carries results, so the log must go elsewhere."""
        return "-" in (self.output, self.save_attention, self.save_beam_to)

    def check(self) -> None:
        """Raise OptionError for options that do not go together."""
        if (self.src, self.tgt, self.phrase_table, self.target_subdict).count("-") > 1:
            raise OptionError(
                "only one of -src, -tgt, -phrase_table and -target_subdict can be standard input"
            )
        if self.ensemble != "mean" and len(self.model) == 1:
            raise OptionError(
                f"-ensemble {self.ensemble} says how to average several models: -model names one"
            )
        if self.dump_input_encoding and self.tgt:
            raise OptionError("-dump_input_encoding scores nothing: leave out -tgt")
        if self.dump_input_encoding and len(self.model) > 1:
            raise OptionError("-dump_input_encoding is for one -model: each has an encoder of its own")
        if self.dump_input_encoding and self.plot_attention:
            raise OptionError("-dump_input_encoding has no attention to draw: leave out -plot_attention")
        if self.plot_attention == "-":
            raise OptionError("-plot_attention makes pictures: name a folder, standard output is none")


def implied_translation_flags(given: Mapping[str, Any]) -> Implied:
    """The flags that follow from those of google/seq2seq's bin.infer, see `inference_flags`."""
    return inference_flags(given) if any_given(given, GoogleInferenceOptions) else Implied({})
