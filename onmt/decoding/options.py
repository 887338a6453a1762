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
from onmt.commandline.schema import flags_of
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
        0, "Minimum length of a translation, in words: `</s>` is not generated earlier.", valid=at_least(0)
    )
    block_ngram_repeat: int = option(
        0,
        "Never repeat an n-gram of this many words within a translation; 0: off. Words that constraints "
        "require are generated all the same.",
        valid=at_least(0),
    )
    ignore_when_blocking: tuple[str, ...] = option(
        (),
        "Words of the target vocabulary; n-grams that contain one of them may be repeated.",
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
        "Draw each word at random from this many of the likeliest words, instead of beam search; -1: from "
        "all words; 0: no sampling, unless -top_p is given.",
        valid=at_least(-1),
    )
    top_p: float = option(
        0.0,
        "Draw each word at random from the smallest set of likeliest words whose probabilities sum to at "
        "least this (nucleus sampling); 0: off.",
        valid=between(0, 1),
    )
    random_sampling_temp: float = option(
        1.0,
        "Sampling temperature, which divides the log-probabilities: values below 1 favour likely words, "
        "values above 1 unlikely ones.",
        valid=between(0.0001, 10000),
    )
    seed: int = option(
        3435,
        "Random seed of sampling; the samples of a sentence depend on it and on the number of the sentence.",
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
        "Language model over the same target vocabulary; its log-probabilities are added at every step.",
        valid=existing_model_or_empty,
    )
    lm_weight: float = option(0.1, "Weight of the log-probabilities of -lm_model.")
    beam_size: int = option(
        5, "Number of hypotheses kept per sentence; 1 is greedy search.", valid=at_least(1)
    )
    max_sent_length: int = option(250, "Maximum length of a translation, in words.", valid=at_least(1))
    replace_unk: bool = option(
        False,
        "Replace each generated `<unk>` by the translation that -phrase_table has for the source word with "
        "the highest attention, or else by that source word.",
    )
    replace_unk_tagged: bool = option(
        False,
        "As -replace_unk, but write a copied source word as `｟unk:word｠`. -replace_unk takes precedence.",
    )
    lexical_constraints: bool = option(
        False,
        "Require in the output the translation of every source word of -phrase_table, if the target "
        "vocabulary has it.",
    )
    limit_lexical_constraints: bool = option(
        False, "Generate a word that -lexical_constraints requires no more often than it is required."
    )
    placeholder_constraints: bool = option(
        False,
        "Require in the output every placeholder (`｟...｠`) of the source, and allow no other one, as far "
        "as the target vocabulary has them.",
    )
    phrase_table: str = option(
        "",
        "File of word translations for -replace_unk and -lexical_constraints: lines of `source word ||| "
        "target word`, or of the two words separated by a tab.",
        valid=existing_file_or_empty,
    )
    n_best: int = option(
        1,
        "Number of translations per sentence, best first; at most -beam_size. With sampling: number of "
        "independent samples.",
        valid=at_least(1),
    )
    max_num_unks: float = option(
        math.inf, "Prune hypotheses with more than this many `<unk>`.", valid=at_least(1)
    )
    target_subdict: str = option(
        "",
        "File of the target words that may be generated, one per line; `<unk>` is always allowed.",
        valid=existing_file_or_empty,
    )
    pre_filter_factor: int = option(
        1,
        "Number of candidates considered before pruning (-max_num_unks), as a multiple of -beam_size. With "
        "1, pruned hypotheses leave their slots in the beam empty; with more, others fill them.",
        valid=at_least(1),
    )
    length_norm: float = option(
        0.0,
        "Exponent alpha of length normalization: scores are divided by ((5 + length) / 6)^alpha; 0: off.",
        valid=at_least(0),
    )
    coverage_norm: float = option(
        0.0,
        "Weight beta of the penalty for source words that received little attention; 0: off.",
        valid=at_least(0),
    )
    eos_norm: float = option(
        0.0,
        "Weight gamma of end-of-sentence normalization: the log-probability of `</s>` is multiplied by "
        "gamma * source length / output length; 0: off.",
        valid=at_least(0),
    )
    dump_input_encoding: bool = option(
        False,
        "Instead of translating, write the last state of the encoder, one vector per sentence; an empty "
        "sentence gives one empty line, whatever -n_best is.",
    )
    save_beam_to: str = option(
        "",
        "File for all hypotheses of the search, as JSON with an entry per sentence (no steps for an empty "
        "one); a name that ends in .npz gets numpy arrays.",
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
                "-ban_unk leaves no `<unk>` for -replace_unk, -replace_unk_tagged and -max_num_unks: leave "
                "them out"
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
                raise OptionError(
                    f"-{flag} needs beam search: leave it out, or -random_sampling_topk and -top_p"
                )

    def check_copying(self) -> None:
        """Raise OptionError for options that do not go with a model that copies source words."""
        for flag, given in (("lm_model", self.lm_model), ("target_subdict", self.target_subdict)):
            if given:
                raise OptionError(
                    f"-{flag} is limited to the target vocabulary, but this model (-copy_attn) also copies "
                    "other source words: leave it out"
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
        "File to translate, one sentence per line; `-` reads standard input. For a model that reads images: "
        "a list with the path of one image per line. Relative paths start at the folder of the list; text "
        "after a tab is ignored.",
        valid=existing_file,
        required=True,
    )
    tgt: str = option("", "File of reference translations to score.", valid=existing_file_or_empty)
    output: str = option(
        "pred.txt",
        "File for the translations, -n_best lines per sentence; lines are empty for a sentence without "
        "tokens and for translations that the search did not find. `-` writes standard output.",
        valid=not_empty,
        writes=("{}",),
    )
    save_attention: str = option(
        "",
        "File for the attention weights of every translation, with the number of its sentence; empty "
        "sentences are left out. A name that ends in .npz gets a numpy array for each line of -output "
        "instead.",
        writes=("{}",),
    )
    plot_attention: str = option(
        "",
        "Folder for plots of the attention of each sentence's best translation, named 00000.png and so on. "
        "Needs matplotlib.",
        writes=("{}",),
    )
    batch_size: int = option(30, "Number of sentences in a batch.", valid=at_least(1))
    idx_files: bool = option(
        False,
        "Each line starts with a key and a blank; source and reference are matched by key. Always on if the "
        "source is vectors.",
    )
    detokenize_output: bool = option(False, "Detokenize the output by the -tok_tgt_* options.")


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions:
    """Translator"""

    ensemble: Literal["mean", "log_mean"] = option(
        "mean",
        "How several models are combined. `mean`: by their average probabilities. `log_mean`: by their "
        "average log-probabilities.",
    )


@dataclass(frozen=True, kw_only=True)
class TranslationModelOptions(EnsembleOptions):
    """Translator"""

    model: tuple[str, ...] = option(
        (),
        "Model to translate with. Several models with the same target vocabulary form an ensemble; the "
        "first one determines how the search works.",
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

    time: bool = option(False, "Log the average time per sentence.")


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
            raise OptionError(f"-ensemble {self.ensemble} needs several models, but -model names only one")
        if self.dump_input_encoding and self.tgt:
            raise OptionError("-dump_input_encoding scores nothing: leave out -tgt")
        if self.dump_input_encoding and len(self.model) > 1:
            raise OptionError("-dump_input_encoding is for one -model: each has an encoder of its own")
        if self.dump_input_encoding and self.plot_attention:
            raise OptionError("-dump_input_encoding has no attention to draw: leave out -plot_attention")
        if self.plot_attention == "-":
            raise OptionError("-plot_attention writes pictures: name a folder instead of standard output")


def implied_translation_flags(given: Mapping[str, Any]) -> Implied:
    """The flags that follow from those of google/seq2seq's bin.infer, see `inference_flags`."""
    idle = flags_of(GoogleInferenceOptions)
    return inference_flags(given) if given.keys() & idle else Implied({}, idle=idle)
