"""Which files a training run writes, and what goes into them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from onmt.checkpoint import FORMAT, save_checkpoint
from onmt.logger import Logger
from onmt.models.base import stored_tensors
from onmt.training.state import TrainingState
from onmt.version import VERSION


@dataclass(frozen=True)
class ModelDescription:
    """What a model file says besides numbers; plain values, see `onmt.checkpoint`."""

    data_type: str
    spec: Mapping[str, Any]
    options: Mapping[str, Any]
    vocabularies: Mapping[str, Any]

    def to_content(self, model: nn.Module, state: TrainingState | None) -> dict[str, Any]:
        """The content of a checkpoint; without `state` that of a released model."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "data_type": self.data_type,
            "spec": dict(self.spec),
            "options": dict(self.options),
            "vocabularies": dict(self.vocabularies),
            "weights": {name: on_host(tensor) for name, tensor in stored_tensors(model).items()},
        }
        if state is not None:
            content["training"] = state.to_dict()
        return content


def on_host(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, in memory of its own size: torch.save would write all of the memory that a GPU's
    weights share, for each file that holds some of them.
    """
    return tensor.detach().cpu()


class Saver:
    """Writes `<save_model>_checkpoint.pt` and `<save_model>_epoch<E>_<score>.pt`.

    Of the models of epochs only the last `keep` stay (0: all), and the last one whose score is a finite
    number; others than those of this training, as the state knows them, are never touched.
    """

    def __init__(
        self, save_model: str, keep: int, description: ModelDescription, model: nn.Module, logger: Logger
    ) -> None:
        self._stem = save_model
        self._keep = keep
        self._description = description
        self._model = model
        self._logger = logger
        self.last_saved: Path | None = None

    @property
    def checkpoint_path(self) -> Path:
        """The file that is written again and again within epochs."""
        return Path(f"{self._stem}_checkpoint.pt")

    def save_checkpoint(self, state: TrainingState) -> Path:
        """Replace the checkpoint; returns its path."""
        return self._save(self.checkpoint_path, state)

    def save_epoch(self, epoch: int, score: float | None, state: TrainingState) -> Path:
        """Keep the model after `epoch`; without validation data its score reads 0.00."""
        path = Path(f"{self._stem}_epoch{epoch}_{score or 0.0:.2f}.pt")
        superseded = self._superseded_by(path, state)
        self._save(path, state)
        for old in superseded:
            self._remove(old)
        return path

    def _superseded_by(self, path: Path, state: TrainingState) -> list[Path]:
        """The models that need not stay once `path` is written; `state` then knows the others."""
        if self._keep == 0:
            return []
        names = [name for name in state.kept_models if name != path.name] + [path.name]
        outdated = names[: -self._keep]
        if not any(map(_has_finite_score, names[-self._keep :])):
            best = [name for name in outdated if _has_finite_score(name)]
            outdated = [name for name in outdated if name not in best[-1:]]
        state.kept_models = [name for name in names if name not in outdated]
        # A training that goes on under another name leaves what it wrote under the first one.
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
    """Whether the score in the name of a model of an epoch is a number."""
    return not name.endswith(("_nan.pt", "_inf.pt", "_-inf.pt"))
