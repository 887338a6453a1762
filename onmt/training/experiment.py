"""`-exp`: the figures of a run for TensorBoard, where OpenNMT Lua sent them to a Crayon server."""

import importlib
from pathlib import Path
from typing import Any

from onmt.errors import OptionError


class TensorBoard:
    """Curves of one experiment in `<folder of save_model>/runs/<experiment>`.

    Raises OptionError if the tensorboard package is missing.
    """

    def __init__(self, experiment: str, save_model: str) -> None:
        try:
            writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        except ImportError as error:
            raise OptionError("-exp needs the tensorboard package: pip install tensorboard") from error
        self._writer = writer(log_dir=str(Path(save_model).parent / "runs" / experiment))

    def add(self, name: str, value: float, step: int) -> None:
        """Record one point of the curve `name`."""
        self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()
