"""Options of google/seq2seq's dialect. Torch-free."""

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
        "Parameters of `-model` as YAML (`embedding.dim: 64`), or a file that holds them; parameters left "
        "out have the original's defaults. On a restart only `optimizer.*` can be changed, except "
        "`optimizer.clip_embed_gradients`.",
        structural=1,
    )
    config_paths: tuple[str, ...] = option(
        (),
        "YAML files in the format of google/seq2seq's train.py, separated by commas. Later files override "
        "earlier ones, and the command line overrides all files.",
        valid=existing_file,
    )
    image_weights: str = option(
        "",
        "With `-model Image2Seq`: initialise the image network with the weights in this file, which "
        "torchvision publishes for `inception_v3`, instead of at random.",
        init_only=True,
        valid=existing_file_or_empty,
    )


@dataclass(frozen=True, kw_only=True)
class GoogleTrainingOptions:
    """google/seq2seq training"""

    output_dir: str = option(
        "",
        "Folder for the models, `<output_dir>/model_*.pt`, instead of `-save_model`; created if it does not "
        "exist. If it holds a training of the same model, that training is continued. Without "
        "`-train_steps` and `-end_epoch`, training goes on until it is stopped.",
    )
    batch_size: int = option(0, "`-max_batch_size` under the original's name.", valid=at_least(0))
    input_pipeline_train: str = option(
        "",
        "Training files as YAML: `class: ParallelTextInputPipeline` with `source_files` and so on as "
        "`params`.",
    )
    input_pipeline_dev: str = option("", "Validation files, in the format of `-input_pipeline_train`.")
    metrics: str = option(
        "",
        "YAML list of metrics. The first one except ROUGE becomes `-validation_metric`, the others become "
        "`-log_metrics`.",
    )
    hooks: str = option(
        "", "YAML list of hooks; they are not run, and a warning names what to use instead of each."
    )
    buckets: str = option(
        "",
        "Accepted for compatibility; logs a warning and does nothing: batches hold sources of equal length "
        "anyway, unless `-uneven_batches`.",
    )
    schedule: Literal["", "continuous_train_and_eval"] = option(
        "",
        "Accepted for compatibility; does nothing: training and validation always alternate, as in "
        "`continuous_train_and_eval`.",
    )
    save_checkpoints_steps: int = option(0, "`-save_every` under the original's name.", valid=at_least(0))
    save_checkpoints_secs: int = option(
        0,
        "Accepted for compatibility; logs a warning and does nothing: use `-save_checkpoints_steps`.",
        valid=at_least(0),
    )
    keep_checkpoint_every_n_hours: float = option(
        0.0,
        "Accepted for compatibility; logs a warning and does nothing: use `-save_every_epochs`.",
        valid=at_least(0),
    )
    tf_random_seed: int = option(0, "`-seed` under the original's name.", valid=at_least(0))
    gpu_memory_fraction: float = option(
        1.0,
        "Accepted for compatibility; logs a warning and does nothing: memory is allocated as needed.",
        valid=at_least(0),
    )
    gpu_allow_growth: bool = option(
        False, "Accepted for compatibility; logs a warning and does nothing: memory is allocated as needed."
    )
    log_device_placement: bool = option(
        False, "Accepted for compatibility; logs a warning and does nothing: `-gpuid` names the devices."
    )


@dataclass(frozen=True, kw_only=True)
class GoogleInferenceOptions:
    """google/seq2seq inference"""

    tasks: str = option(
        "",
        "YAML list of the original's tasks (`DecodeText`, `DumpAttention`, `DumpBeams`) with their "
        "`params`; `DecodeText` prints the translations.",
    )
    model_dir: str = option(
        "", "Translate with the newest model in this folder, the `-output_dir` of a training."
    )
    checkpoint_path: str = option("", "`-model` under the original's name.", valid=existing_model_or_empty)
    input_pipeline: str = option(
        "", "Source file as YAML: `class: ParallelTextInputPipeline` with `source_files` as `params`."
    )
    model_params: str = option(
        "",
        "Search parameters as YAML, or a file that holds them: `inference.beam_search.*`, and "
        "`max_decode_length` in `decoder.params`.",
    )
