"""The state of a training, its history of validation scores, and the files it is saved in."""

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from onmt.checkpoint import FORMAT, save_checkpoint
from onmt.constants import VERSION
from onmt.errors import CheckpointError
from onmt.kernels.products import Products
from onmt.logger import Logger
from onmt.models.base import stored_tensors
from onmt.training.optim import HIGHER_IS_BETTER, LearningRate
from onmt.training.options import AnyTrainOptions
from onmt.training.trainer_options import Metric


@dataclass
class _ValidationHistory:
    """The validation scores of a training by one metric.

    best: None before the first finite score; since_best: validations since the best; scores: by file name,
    those of the epoch models that this training may remove.
    """

    metric: Metric = "perplexity"
    best: float | None = None
    since_best: int = 0
    scores: dict[str, float] = field(default_factory=dict)

    def record(self, metric: Metric, score: float | None) -> bool:
        """Record a score, None without a validation; return whether it is the best so far."""
        if metric != self.metric:  # scores of two metrics cannot be compared
            self.metric, self.best, self.since_best, self.scores = metric, None, 0, {}
        if score is None:
            return False
        if math.isfinite(score) and (self.best is None or self._is_better(score, self.best)):
            self.best, self.since_best = score, 0
            return True
        self.since_best += 1
        return False

    def best_models(self, count: int) -> list[str]:
        """Return the file names of the best epoch models, best first; the earlier one of equal scores."""
        finite = [name for name, score in self.scores.items() if math.isfinite(score)]
        sign = -1 if self.metric in HIGHER_IS_BETTER else 1
        return sorted(finite, key=lambda name: sign * self.scores[name])[:count]

    def _is_better(self, score: float, other: float) -> bool:
        return score > other if self.metric in HIGHER_IS_BETTER else score < other

    def to_state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "_ValidationHistory":
        """Inverse of `to_state`. Raises CheckpointError for anything else."""
        try:
            return cls(**state)
        except TypeError as error:
            raise CheckpointError(f"the scores of the checkpoint are malformed: {error}") from error


@dataclass(frozen=True)
class Environment:
    """The environment that bit-identical results depend on, besides the program."""

    machine: str
    torch_version: str
    threads: int
    compute: str

    @classmethod
    def current(cls, device: torch.device, products: Products) -> "Environment":
        """Return the environment of this process, which computes on `device` with these products."""
        compute = f"cpu {torch.backends.cpu.get_cpu_capability()}"
        if device.type == "cuda":
            compute = f"cuda {torch.cuda.get_device_name(device)}"
        return cls(
            machine=platform.machine(),
            torch_version=str(torch.__version__),
            threads=torch.get_num_threads(),
            compute=f"{compute}, {products.describe(device)}",
        )

    def differences(self, other: "Environment") -> list[str]:
        """List the changes from `other` to this one, each as `threads: 2 -> 4`."""
        return _changes(asdict(other), asdict(self))


@dataclass(frozen=True)
class Batching:
    """The settings that determine batches: a run resumed with another value sees other batches."""

    max_batch_size: int
    max_tokens: int
    uneven_batches: bool
    replicas: int
    iterations: int
    accum_count: int = 1

    def differences(self, other: "Batching") -> list[str]:
        """List the changes from `other` to this one, each as `max_batch_size: 20 -> 160`."""
        return _changes(asdict(other), asdict(self))


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {before[name]} -> {now[name]}" for name in now if now[name] != before[name]]


@dataclass
class TrainingState:
    """The position of a run and all other values that change during training.

    `epoch` and `iteration`: the next iteration to do, both counted from 1.
    `optimizer`: what `Optimizer.to_state` returned; None before the first step or in a file without it.
    `loss_scale`: what `LossScale.to_state` returned; None without -fp16.
    `sampler`: what `Epochs.sampler_state` returned; None unless sentences are sampled by perplexity.
    `trained_weights`: the parameters, if the model holds their moving average; None without an average.
    `updates`: number of updates in the average; `-decay_method restart` does not reset it.
    `validation`: the scores so far.
    `unreported`: loss, target words and source words since the last report, see `Progress.unreported`; None
        right after one.
    `kept_models`: file names of the epoch models that may be removed after newer ones are saved.
    `batching`, `environment`: those of the run that wrote the state; None in a model of OpenNMT Lua.
    """

    rate: LearningRate
    epoch: int = 1
    iteration: int = 1
    minutes: float = 0.0
    gold_probability: float = 1.0
    optimizer: dict[str, Any] | None = field(default=None, repr=False)
    loss_scale: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = field(default=None, repr=False)
    trained_weights: dict[str, Tensor] | None = field(default=None, repr=False)
    updates: int = 0
    validation: _ValidationHistory = field(default_factory=_ValidationHistory)
    unreported: list[float] | None = None
    kept_models: list[str] = field(default_factory=list)
    batching: Batching | None = None
    environment: Environment | None = None

    @classmethod
    def new(cls, options: AnyTrainOptions) -> "TrainingState":
        """Return the state of a training that begins where the options say."""
        rate = LearningRate(options.learning_rate)
        return cls(rate, epoch=options.start_epoch, iteration=options.start_iteration)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values and tensors, the `training` part of a checkpoint."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        content["rate"] = self.rate.to_state()
        content["validation"] = self.validation.to_state()
        content["batching"] = None if self.batching is None else asdict(self.batching)
        content["environment"] = None if self.environment is None else asdict(self.environment)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingState":
        """Inverse of `to_dict`. Raises CheckpointError for anything else."""
        try:
            values = dict(content)
            values["rate"] = LearningRate.from_state(values["rate"])
            values["validation"] = _ValidationHistory.from_state(values.get("validation") or {})
            if values.get("trained_weights") is not None and "updates" not in values:
                values["updates"] = int(values["optimizer"]["steps"])  # an older file has no count
            for name, kind in (("batching", Batching), ("environment", Environment)):
                values[name] = None if values.get(name) is None else kind(**values[name])
            _check_names(values.get("kept_models", []))
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"the training state of the checkpoint is malformed: {error}") from error


def _check_names(names: object) -> None:
    """Raise TypeError unless `names` is a list of file names without folders."""
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name and Path(name).name == name for name in names
    ):
        raise TypeError("kept_models is not a list of file names")


@dataclass(frozen=True)
class ModelDescription:
    """The content of a model file except weights and state; plain values, see `onmt.checkpoint`."""

    data_type: str
    spec: Mapping[str, Any]
    options: Mapping[str, Any]
    vocabularies: Mapping[str, Any]

    def to_content(self, model: nn.Module, state: TrainingState | None) -> dict[str, Any]:
        """Return the content of a checkpoint; without `state`, that of a released model."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "data_type": self.data_type,
            "spec": dict(self.spec),
            "options": dict(self.options),
            "vocabularies": dict(self.vocabularies),
            "weights": {name: _on_host(tensor) for name, tensor in stored_tensors(model).items()},
        }
        if state is not None:
            content["training"] = state.to_dict()
        return content


def _on_host(tensor: Tensor) -> Tensor:
    """Copy the tensor from a GPU to CPU memory of its own size: torch.save writes a tensor's whole storage,
    which weights on a GPU share.
    """
    return tensor.detach().cpu()


class Saver:
    """Writes `<save_model>_checkpoint.pt`, `<save_model>_best.pt` and `<save_model>_epoch<E>_<score>.pt`.

    Of the epoch models the last `keep`, the `keep_best` best (both 0: all) and the last one with a finite
    score are kept; the others are removed, but only those that this training wrote, by the state's list.
    """

    def __init__(
        self,
        save_model: str,
        keep: int,
        keep_best: int,
        description: ModelDescription,
        model: nn.Module,
        logger: Logger,
    ) -> None:
        self._stem = save_model
        self._keep = max(keep, 1) if keep_best else keep
        self._keep_best = keep_best
        self._description = description
        self._model = model
        self._logger = logger
        self.last_saved: Path | None = None

    @property
    def checkpoint_path(self) -> Path:
        """The file that is replaced every `-save_every` iterations and when training is interrupted."""
        return Path(f"{self._stem}_checkpoint.pt")

    def save_checkpoint(self, state: TrainingState) -> Path:
        """Replace the checkpoint; return its path."""
        return self._save(self.checkpoint_path, state)

    def save_best(self, state: TrainingState) -> Path:
        """Replace the best model; return its path."""
        return self._save(Path(f"{self._stem}_best.pt"), state)

    def save_epoch(self, epoch: int, score: float | None, state: TrainingState) -> Path:
        """Save the model after `epoch`; without validation data the score in its name is 0.00."""
        path = Path(f"{self._stem}_epoch{epoch}_{score or 0.0:.2f}.pt")
        if score is not None:
            state.validation.scores[path.name] = score
        superseded = self._drop_superseded(path, state)
        self._save(path, state)
        for old in superseded:
            self._remove(old)
        return path

    def _drop_superseded(self, path: Path, state: TrainingState) -> list[Path]:
        """Return the epoch models to remove once `path` is written; drop them from the lists in `state`."""
        if self._keep == 0:
            return []
        names = [name for name in state.kept_models if name != path.name] + [path.name]
        outdated = names[: -self._keep]
        if not any(map(_has_finite_score, names[-self._keep :])):
            best = [name for name in outdated if _has_finite_score(name)]
            outdated = [name for name in outdated if name not in best[-1:]]
        best_models = state.validation.best_models(self._keep_best)
        outdated = [name for name in outdated if name not in best_models]
        for name in outdated:
            state.validation.scores.pop(name, None)
        state.kept_models = [name for name in names if name not in outdated]
        # A training continued with another -save_model leaves the files of the first name.
        own = f"{Path(self._stem).name}_epoch"
        return [path.with_name(name) for name in outdated if name.startswith(own)]

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._logger.warning(f"Cannot remove '{path}': {error.strerror}")

    def _save(self, path: Path, state: TrainingState) -> Path:
        self._logger.info(f"Saving checkpoint to '{path}'...")
        save_checkpoint(path, self._description.to_content(self._model, state))
        self.last_saved = path
        return path


def _has_finite_score(name: str) -> bool:
    """Return whether the score in the file name of an epoch model is finite."""
    return not name.endswith(("_nan.pt", "_inf.pt", "_-inf.pt"))
