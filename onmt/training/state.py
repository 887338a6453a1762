"""What a run must remember, besides its parameters, to go on as if it had never stopped."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from onmt.errors import CheckpointError
from onmt.kernels.products import Products
from onmt.training.decay import LearningRate


@dataclass(frozen=True)
class Environment:
    """What bit-identical numbers depend on besides the program."""

    machine: str
    torch_version: str
    threads: int
    compute: str

    @classmethod
    def current(cls, device: torch.device, products: Products) -> "Environment":
        """Of this process, computing on `device` with these products."""
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
        """What changed from `other` to this one, each as `threads: 2 -> 4`."""
        before, now = asdict(other), asdict(self)
        return [f"{name}: {before[name]} -> {now[name]}" for name in now if now[name] != before[name]]


@dataclass(frozen=True)
class Batching:
    """What the numbering of iterations depends on: a run resumed with another value sees other batches."""

    max_batch_size: int
    max_tokens: int
    uneven_batches: bool
    replicas: int
    iterations: int

    def differences(self, other: "Batching") -> list[str]:
        """What changed from `other` to this one, each as `max_batch_size: 20 -> 160`."""
        before, now = asdict(other), asdict(self)
        return [f"{name}: {before[name]} -> {now[name]}" for name in now if now[name] != before[name]]


@dataclass
class TrainingState:
    """The position of a run (the next iteration to do, both counted from 1) and all that changes along the
    way.

    `optimizer` is what `Optimizer.to_state` gave; None before the first step or in a file that has none.
    `loss_scale` is what `LossScale.to_state` gave; None without -fp16.
    `sampler` is what `Epochs.sampler_state` gave; None unless sentences are drawn by their perplexity.
    `kept_models` are the names of the models of epochs that may be removed when newer ones are there.
    `batching` and `environment` describe the run that wrote the state; None in a model made by OpenNMT Lua.
    """

    rate: LearningRate
    epoch: int = 1
    iteration: int = 1
    minutes: float = 0.0
    gold_probability: float = 1.0
    optimizer: dict[str, Any] | None = field(default=None, repr=False)
    loss_scale: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = field(default=None, repr=False)
    kept_models: list[str] = field(default_factory=list)
    batching: Batching | None = None
    environment: Environment | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values and tensors, the `training` part of a checkpoint."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        content["rate"] = self.rate.to_state()
        content["batching"] = None if self.batching is None else asdict(self.batching)
        content["environment"] = None if self.environment is None else asdict(self.environment)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingState":
        """Inverse of `to_dict`. Raises CheckpointError for anything else."""
        try:
            values = dict(content)
            values["rate"] = LearningRate.from_state(values["rate"])
            for name, kind in (("batching", Batching), ("environment", Environment)):
                values[name] = None if values.get(name) is None else kind(**values[name])
            _check_names(values.get("kept_models", []))
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"the training state of the checkpoint is malformed: {error}") from error


def _check_names(names: object) -> None:
    """Raise TypeError unless these are names of files, without folders."""
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name and Path(name).name == name for name in names
    ):
        raise TypeError("kept_models is no list of names of files")
