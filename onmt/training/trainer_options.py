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
        "Label smoothing: share of the target probability that is spread evenly over the vocabulary. Logged "
        "losses and perplexities exclude it.",
        valid=between(0, 1),
        train_state=True,
    )
    weight_decay: float = option(
        0.0,
        "Decoupled weight decay: before each update, all weights, but not biases, are multiplied by 1 - "
        "learning rate * this number.",
        valid=at_least(0),
        train_state=True,
    )
    average_decay: float = option(
        0.0,
        "Validate and save a moving average of the parameters: average += d * (parameters - average) after "
        "each update, where d is this number, or 9 / (updates + 9) as long as that is larger. 0: no "
        "average.",
        valid=between(0, 1),
        train_state=True,
    )
    warmup_steps: int = option(
        0,
        "Increase the learning rate linearly for this many updates, then decrease it with the inverse "
        "square root of the number of updates: learning_rate * min(step / warmup_steps, sqrt(warmup_steps / "
        "step)). The decay rules by epoch then have no effect. 0: off.",
        valid=at_least(0),
        train_state=True,
    )


@dataclass(frozen=True, kw_only=True)
class AccumulationOptions:
    """Accumulation"""

    accum_count: int = option(
        1,
        "Gradient accumulation: number of batches whose gradients are summed before each update, as if they "
        "were one batch. An iteration is an update.",
        valid=at_least(1),
    )


@dataclass(frozen=True, kw_only=True)
class StoppingOptions:
    """Stopping and keeping"""

    early_stopping: int = option(
        0,
        "Stop after this many validations in a row without a new best `-validation_metric`. 0: never.",
        valid=at_least(0),
    )
    keep_best: int = option(
        0,
        "Write the best model so far to `<save_model>_best.pt`, and keep only this many of the best epoch "
        "models besides the last ones that `-keep_checkpoints` or `-keep_checkpoint_max` keeps (at least "
        "one). 0: neither.",
        valid=at_least(0),
    )
    keep_checkpoints: int = option(
        0,
        "Number of epoch models to keep; older ones written by this training are deleted. 0: as "
        "`-keep_checkpoint_max`.",
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
        "Save `<save_model>_checkpoint.pt` every n iterations of an epoch, or of the whole training if "
        "`-train_steps` or `-eval_every_n_steps` is given. 0: never.",
        valid=at_least(0),
    )
    save_every_epochs: int = option(
        1,
        "Save a model every n epochs. The model of the last epoch is always saved; 0: only that one.",
        valid=at_least(0),
    )
    keep_checkpoint_max: int = option(
        0,
        "Number of epoch models to keep; older ones written by this training are deleted. 0 keeps all.",
        valid=at_least(0),
    )
    cuda_graphs: bool = option(
        False,
        "On a GPU: capture the forward and backward pass of each batch shape as a CUDA graph when the shape "
        "occurs for the second time, and replay it from then on.",
    )
    report_every: int = option(50, "Log the progress every n iterations.", valid=at_least(1))
    async_parallel: bool = option(
        False,
        "Accepted for compatibility; logs a warning and does nothing: several GPUs always train "
        "synchronously.",
    )
    async_parallel_minbatch: int = option(
        1000, "Accepted for compatibility, as `-async_parallel`.", valid=at_least(0)
    )
    start_iteration: int = option(
        1, "Iteration at which to start in the first epoch of this run, counted from 1.", valid=at_least(1)
    )
    start_epoch: int = option(1, "Epoch at which to start, counted from 1.", valid=at_least(1))
    end_epoch: int = option(13, "Last epoch to train; 0: train until interrupted.", valid=at_least(0))
    curriculum: int = option(
        0,
        "Number of epochs that take the batches in stored order (shortest first, if the data is sorted); "
        "later ones take them in random order.",
        valid=at_least(0),
        train_state=True,
    )
    validation_metric: Metric = option(  # noqa: RUF009 - ruff does not see through the alias
        "perplexity",
        "Metric of the validation data after each epoch, for decay rules, early stopping and file names.",
    )
    log_metrics: tuple[
        Literal["perplexity", "loss", "bleu", "ter", "dlratio", "rouge_1", "rouge_2", "rouge_l"], ...
    ] = option(
        (),
        "Further metrics to measure on the validation data and to log after each epoch. `rouge_*` are mean "
        "F1 scores.",
    )
    metrics_postprocess: Postprocess = option(  # noqa: RUF009 - as above
        "none",
        "Join subwords before translations are compared with references. `strip_bpe`: those of subword-nmt "
        "(`sub@@ word`). `decode_sentencepiece`: those of SentencePiece (`\u2581wo rd`).",
    )
    save_validation_translation_every: int = option(
        0,
        "With a metric that compares translations (`bleu`, `ter`, `dlratio`, `rouge_*`): write "
        "`<save_model>_epoch<E>_validation_translation.txt` every n epochs, with a line `score ||| "
        "prediction ||| reference` per sentence. 0: never.",
        valid=at_least(0),
    )
    update_vocab: Literal["none", "replace", "merge"] = option(
        "none",
        "With `-train_from`: take the vocabularies of the data. `replace` drops words that the data lacks, "
        "`merge` appends them to the data's words. Known words keep their parameters; those of new words "
        "start at zero.",
    )


@dataclass(frozen=True, kw_only=True)
class OptimOptions:
    """Optimization"""

    max_batch_size: int = option(
        160, "Maximum number of sentences in a batch; 0: only `-max_tokens` limits it.", valid=at_least(0)
    )
    max_tokens: int = option(
        1800,
        "Maximum number of source tokens in a batch, padding not counted; a longer sentence is a batch of "
        "its own.",
        valid=at_least(0),
    )
    uneven_batches: bool = option(
        False,
        "Allow source sentences of different lengths in a batch. By default they have the same length, so "
        "that no computation is spent on source padding.",
    )
    optim: Literal["sgd", "adagrad", "adadelta", "adam"] = option("sgd", "Optimiser.", train_state=True)
    learning_rate: float = option(
        1.0,
        "Initial learning rate; `adadelta` does not use it. Usual values: 1 for `sgd`, 0.1 for `adagrad`, "
        "0.0002 for `adam`.",
        train_state=True,
        valid=between(-1e37, 1e37),
    )
    min_learning_rate: float = option(
        0.0,
        "Stop after an epoch, with the model saved, if the learning rate is then below this.",
        train_state=True,
    )
    max_grad_norm: float = option(
        5.0,
        "Gradient clipping: scale the gradient of all parameters down to this L2 norm if it is longer; 0: "
        "off.",
        train_state=True,
    )
    learning_rate_decay: float = option(
        0.7,
        "Factor by which each decay multiplies the learning rate (`sgd` and `adam` only).",
        train_state=True,
    )
    start_decay_at: int = option(
        9,
        "Decay the learning rate after this epoch and every later one (`-decay default` and `epoch_only`).",
        valid=at_least(0),
        train_state=True,
    )
    start_decay_score_delta: float = option(
        0.0,
        "Decay the learning rate if the validation score is not better than the previous one by at least "
        "this much (`-decay score_only`; with `-decay default`, from then on after every epoch).",
        train_state=True,
    )
    decay: Literal["default", "epoch_only", "score_only"] = option(
        "default",
        "When to decay the learning rate. `epoch_only`: by `-start_decay_at`. `score_only`: by "
        "`-start_decay_score_delta`. `default`: by whichever comes first.",
        train_state=True,
    )
    decay_method: Literal["default", "restart"] = option(
        "default", "`restart` also clears the optimiser's state at each decay.", train_state=True
    )


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Steps"""

    train_steps: int = option(
        0,
        "Stop after this many steps (iterations since the start of the training) instead of at "
        "`-end_epoch`; 0: no limit.",
        valid=at_least(0),
    )
    eval_every_n_steps: int = option(
        0,
        "Validate and save a model every n steps, which the log then calls an epoch. 0: after each pass "
        "over the training data; with `-train_steps`, the default is 1000 instead.",
        valid=at_least(0),
        train_state=True,
    )

    @property
    def counts_steps(self) -> bool:
        """Whether an epoch is a number of steps instead of a pass over the data."""
        return self.train_steps > 0 or self.eval_every_n_steps > 0

    def last_epoch(self, end_epoch: int, iterations: int) -> int:
        """Return the last epoch, with `iterations` steps per epoch; `end_epoch` if steps are not limited."""
        return -(-self.train_steps // iterations) if self.train_steps > 0 else end_epoch
