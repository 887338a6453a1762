"""Options of google/seq2seq's dialect, and options that count steps instead of epochs. Torch-free."""

from dataclasses import dataclass
from typing import Final, Literal

from onmt.commandline.declare import (
    at_least,
    existing_file,
    existing_file_or_empty,
    existing_model_or_empty,
    option,
)

STEPS_BETWEEN_EVALUATIONS: Final = 1000
"""`-eval_every_n_steps` with `-train_steps`, unless it is given."""


@dataclass(frozen=True, kw_only=True)
class GoogleModelOptions:
    """google/seq2seq model"""

    model: str = option(
        "",
        "Class of a google/seq2seq model, `BasicSeq2Seq`, `AttentionSeq2Seq` or `Image2Seq`, instead of a "
        "model described by the flags of OpenNMT Lua.",
        structural=0,
    )
    model_params: str = option(
        "",
        "With `-model`: its parameters as YAML (`embedding.dim: 64`), or a file that holds them; what is "
        "left out has the original's default. On a restart only `optimizer.*` can be changed, except "
        "`optimizer.clip_embed_gradients`.",
        structural=1,
    )
    config_paths: tuple[str, ...] = option(
        (),
        "YAML files as google/seq2seq's train.py takes them, separated by commas. What several of them set "
        "has the value of the last, and what the command line sets too has that of the command line.",
        valid=existing_file,
    )
    image_weights: str = option(
        "",
        "With `-model Image2Seq`: start the image network from the weights in this file, which torchvision "
        "publishes for `inception_v3`, instead of from random numbers.",
        init_only=True,
        valid=existing_file_or_empty,
    )


@dataclass(frozen=True, kw_only=True)
class GoogleTrainingOptions:
    """google/seq2seq training"""

    output_dir: str = option(
        "",
        "Folder for the models, `<output_dir>/model_*.pt`, instead of `-save_model`; it is made if need be. "
        "Where it holds a training of the same model, that training goes on. Without `-train_steps` "
        "the training goes on until it is stopped.",
    )
    batch_size: int = option(0, "`-max_batch_size` under the original's name.", valid=at_least(0))
    input_pipeline_train: str = option(
        "",
        "Training texts as YAML: `class: ParallelTextInputPipeline` with `params` `source_files` and so on.",
    )
    input_pipeline_dev: str = option("", "Validation texts, as `-input_pipeline_train`.")
    metrics: str = option(
        "", "YAML list of metrics; the first that is measured here becomes `-validation_metric`."
    )
    hooks: str = option("", "YAML list of hooks; a warning tells what to use here instead of each.")
    buckets: str = option(
        "",
        "Boundaries of source lengths: batches hold sources of one length anyway, unless `-uneven_batches`.",
    )
    schedule: Literal["", "continuous_train_and_eval"] = option(
        "", "Training and validation always take turns, as in `continuous_train_and_eval`."
    )
    save_checkpoints_steps: int = option(0, "`-save_every` under the original's name.", valid=at_least(0))
    save_checkpoints_secs: int = option(
        0, "Not followed, with a warning: `-save_checkpoints_steps` counts steps.", valid=at_least(0)
    )
    keep_checkpoint_every_n_hours: float = option(
        0.0, "Not followed, with a warning: use `-save_every_epochs`.", valid=at_least(0)
    )
    tf_random_seed: int = option(0, "`-seed` under the original's name.", valid=at_least(0))
    gpu_memory_fraction: float = option(
        1.0, "Not followed, with a warning: memory is taken as needed.", valid=at_least(0)
    )
    gpu_allow_growth: bool = option(False, "Not followed, with a warning: memory is taken as needed.")
    log_device_placement: bool = option(
        False, "Not followed, with a warning: `-gpuid` says where everything is."
    )


@dataclass(frozen=True, kw_only=True)
class GoogleInferenceOptions:
    """google/seq2seq inference"""

    tasks: str = option(
        "",
        "YAML list of the original's tasks, `DecodeText`, `DumpAttention`, `DumpBeams`, with their `params`; "
        "`DecodeText` prints the translations.",
    )
    model_dir: str = option(
        "", "Translate with the newest model in this folder, an `-output_dir` of train.py."
    )
    checkpoint_path: str = option("", "`-model` under the original's name.", valid=existing_model_or_empty)
    input_pipeline: str = option(
        "", "Sources as YAML: `class: ParallelTextInputPipeline` with `params` `source_files`."
    )
    model_params: str = option(
        "",
        "Parameters of the search as YAML, or a file that holds them: `inference.beam_search.*`, and "
        "`max_decode_length` in `decoder.params`.",
    )


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Steps"""

    train_steps: int = option(
        0,
        "Stop after this many steps (iterations, counted from the start of the training) instead of at "
        "`-end_epoch`; 0: no such limit.",
        valid=at_least(0),
    )
    eval_every_n_steps: int = option(
        0,
        "Validate and keep a model after this many steps, which the log then calls an epoch. Unless "
        "given, 1000 with `-train_steps`. 0: after each pass over the training data.",
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
