"""Options of the trainer: loop, optimiser, regularisation, early stopping, coverage. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import at_least, between, option

Metric = Literal["perplexity", "loss", "bleu", "ter", "dlratio"]
Postprocess = Literal["none", "strip_bpe", "decode_sentencepiece"]


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


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """Trainer"""

    save_every: int = option(
        5000,
        "Write `<save_model>_checkpoint.pt` every this many iterations of an epoch, or of the whole training "
        "where `-train_steps` or `-eval_every_n_steps` counts them; 0: never.",
        valid=at_least(0),
    )
    save_every_epochs: int = option(
        1,
        "Keep a model every this many epochs; 0: of the last epoch only. The last epoch is always kept.",
        valid=at_least(0),
    )
    keep_checkpoint_max: int = option(
        0,
        "Number of models of epochs to keep; older ones that this training wrote are removed. 0: keep all.",
        valid=at_least(0),
    )
    cuda_graphs: bool = option(
        False,
        "On a GPU: capture the forward and backward pass of each shape of batch as a CUDA graph when it "
        "comes a second time, and replay it from then on.",
    )
    report_every: int = option(50, "Log the progress every this many iterations.", valid=at_least(1))
    async_parallel: bool = option(
        False,
        "Accepted for compatibility; logs a warning and does nothing: several GPUs always train in step.",
    )
    async_parallel_minbatch: int = option(
        1000, "Accepted for compatibility, as `-async_parallel`.", valid=at_least(0)
    )
    start_iteration: int = option(
        1, "Iteration to start at, in the first epoch only (counted from 1).", valid=at_least(1)
    )
    start_epoch: int = option(1, "Epoch to start at, counted from 1.", valid=at_least(1))
    end_epoch: int = option(13, "Last epoch to train; 0: go on until interrupted.", valid=at_least(0))
    curriculum: int = option(
        0,
        "For this many epochs take the batches in stored order (shortest first, if the data is sorted) "
        "instead of a random one.",
        valid=at_least(0),
        train_state=True,
    )
    validation_metric: Metric = option(  # noqa: RUF009 - ruff does not see through the alias
        "perplexity",
        "What is measured on the validation data after each epoch; decay rules and file names use it.",
    )
    log_metrics: tuple[
        Literal["perplexity", "loss", "bleu", "ter", "dlratio", "rouge_1", "rouge_2", "rouge_l"], ...
    ] = option(
        (),
        "Metrics that are measured and logged after each epoch beside `-validation_metric`. `rouge_*` are "
        "mean F1 scores.",
    )
    metrics_postprocess: Postprocess = option(  # noqa: RUF009 - as above
        "none",
        "Join subwords before translations are compared with references: those of subword-nmt (`sub@@ word`) "
        "or of SentencePiece (`\u2581wo rd`).",
    )
    save_validation_translation_every: int = option(
        0,
        "With a metric that translates (`bleu`, `ter`, `dlratio`): every this many epochs write "
        "`<save_model>_epoch<E>_validation_translation.txt`, a line `score ||| prediction ||| reference` per "
        "sentence; 0: never.",
        valid=at_least(0),
    )
    update_vocab: Literal["none", "replace", "merge"] = option(
        "none",
        "With `-train_from`, take the vocabularies of the data: `replace` drops words that the data "
        "lacks, `merge` keeps them after the new ones. Words known before keep their parameters, new ones "
        "start at zero.",
    )


@dataclass(frozen=True, kw_only=True)
class OptimOptions:
    """Optimization"""

    max_batch_size: int = option(
        160, "Most sentences in a batch; 0: no limit but that of `-max_tokens`.", valid=at_least(0)
    )
    max_tokens: int = option(1800, "Most source tokens in a batch, padding not counted.", valid=at_least(0))
    uneven_batches: bool = option(
        False,
        "Let a batch hold source sentences of different lengths. By default all of a batch have the same "
        "length, so nothing is spent on source padding.",
    )
    optim: Literal["sgd", "adagrad", "adadelta", "adam"] = option(
        "sgd", "How gradients become updates.", train_state=True
    )
    learning_rate: float = option(
        1.0,
        "Learning rate at the start; `adadelta` takes none. Usual: 1 for `sgd`, 0.1 for `adagrad`, 0.0002 "
        "for `adam`.",
        train_state=True,
        valid=between(-1e37, 1e37),
    )
    min_learning_rate: float = option(
        0.0,
        "Stop, with the model saved, after the epoch that makes the learning rate smaller than this.",
        train_state=True,
    )
    max_grad_norm: float = option(
        5.0,
        "Scale the gradient of all parameters together down to this L2 norm where it is longer; 0: never.",
        train_state=True,
    )
    learning_rate_decay: float = option(
        0.7, "Factor of the learning rate at each decay (`sgd` and `adam` only).", train_state=True
    )
    start_decay_at: int = option(
        9,
        "Decay after this epoch and every later one (`-decay default` and `epoch_only`).",
        valid=at_least(0),
        train_state=True,
    )
    start_decay_score_delta: float = option(
        0.0,
        "Decay when the validation score is not better than the last one by this much (`-decay default`, "
        "from then on after every epoch, and `score_only`).",
        train_state=True,
    )
    decay: Literal["default", "epoch_only", "score_only"] = option(
        "default",
        "When to decay: by `-start_decay_at`, by `-start_decay_score_delta`, or by whichever comes first.",
        train_state=True,
    )
    decay_method: Literal["default", "restart"] = option(
        "default", "`restart` also clears what the optimiser has gathered at each decay.", train_state=True
    )
