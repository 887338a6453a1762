"""Options of google/seq2seq's dialect and of its clock, which counts steps. No torch here."""

from dataclasses import dataclass
from typing import Final

from onmt.commandline.declare import at_least, existing_file, existing_file_or_empty, option

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
        "Validate and keep a model after every so many steps: the log then calls these an epoch. Unless "
        "given, 1000 with `-train_steps`. 0: after each pass over the training data.",
        valid=at_least(0),
        train_state=True,
    )

    @property
    def counts_steps(self) -> bool:
        """Whether an epoch is a number of steps instead of a pass over the data."""
        return self.train_steps > 0 or self.eval_every_n_steps > 0

    def last_epoch(self, end_epoch: int, iterations: int) -> int:
        """The last epoch, of so many iterations each, or `end_epoch` where steps are not limited."""
        return -(-self.train_steps // iterations) if self.train_steps > 0 else end_epoch
