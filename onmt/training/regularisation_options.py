"""Regularisation, early stopping, shared word vectors, coverage: for models of both dialects. Torch-free."""

from dataclasses import dataclass

from onmt.commandline.declare import at_least, between, option


@dataclass(frozen=True, kw_only=True)
class RegularisationOptions:
    """Regularisation"""

    label_smoothing: float = option(
        0.0,
        "Share of each target's probability that is spread evenly over the whole vocabulary. Losses and "
        "perplexities in the log stay those without smoothing.",
        valid=between(0, 1),
        train_state=True,
    )
    weight_decay: float = option(
        0.0,
        "Before each update multiply all weights, but no biases, by 1 minus learning rate times this number "
        "(decoupled weight decay).",
        valid=at_least(0),
        train_state=True,
    )
    average_decay: float = option(
        0.0,
        "Validate and save a moving average of the parameters: average += d * (parameters - average) after "
        "each update, where d is this number, or 9 / (updates + 9) while that is larger. 0: no average.",
        valid=between(0, 1),
        train_state=True,
    )
    warmup_steps: int = option(
        0,
        "Let the learning rate rise linearly for this many updates and fall with the square root of the "
        "number of updates afterwards: learning_rate * min(step / warmup_steps, sqrt(warmup_steps / step)). "
        "The decay rules by epoch then do nothing. 0: no such schedule.",
        valid=at_least(0),
        train_state=True,
    )


@dataclass(frozen=True, kw_only=True)
class AccumulationOptions:
    """Accumulation"""

    accum_count: int = option(
        1,
        "Batches whose gradients are summed before each update, as if they were one batch. An iteration is "
        "an update.",
        valid=at_least(1),
    )


@dataclass(frozen=True, kw_only=True)
class StoppingOptions:
    """Stopping and keeping"""

    early_stopping: int = option(
        0,
        "Stop after this many validations in a row that are not better than the best one, by "
        "`-validation_metric`. 0: never.",
        valid=at_least(0),
    )
    keep_best: int = option(
        0,
        "Write the best model so far to `<save_model>_best.pt`, and remove models of epochs except this many "
        "best ones and the last `-keep_checkpoints` (at least one). 0: neither.",
        valid=at_least(0),
    )
    keep_checkpoints: int = option(
        0,
        "Number of models of epochs to keep; older ones that this training wrote are removed. 0: as "
        "`-keep_checkpoint_max` says.",
        valid=at_least(0),
    )


@dataclass(frozen=True, kw_only=True)
class SharedTableOptions:
    """Shared word vectors"""

    share_embeddings: bool = option(
        False,
        "Use one table of word vectors for source and target. Both sides need the same vocabulary.",
        structural=0,
    )
    share_decoder_embeddings: bool = option(
        False,
        "Use the decoder's word vectors as the weights of the output layer. Both must have the same width.",
        structural=0,
    )


@dataclass(frozen=True, kw_only=True)
class CoverageOptions:
    """Coverage and copying"""

    coverage_attn: bool = option(
        False,
        "Add a coverage term to the attention score: the attention that a source position has received in "
        "earlier steps, so that the decoder can avoid translating it again.",
        structural=0,
    )
    lambda_coverage: float = option(
        0.0,
        "Weight of the coverage loss of `-coverage_attn`: min(attention, coverage), summed over steps and "
        "positions. Logged losses and perplexities exclude it.",
        valid=at_least(0),
        train_state=True,
    )
    copy_attn: bool = option(
        False,
        "Let the decoder copy source words (pointer-generator): at each step its distribution is a mixture "
        "of the words of the target vocabulary and the source words, weighted by attention. `translate.py` "
        "can then output source words that are in no vocabulary.",
        structural=0,
    )
