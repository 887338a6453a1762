"""The gradients of an update: clipped, replayed as CUDA graphs, scaled for half precision, kept finite.

Nothing here waits for the device. Clipping multiplies by a factor that stays a tensor. A step that is not
finite is skipped on the device (see `Optimizer.step`) and logged with the next report; a model that is not
finite is never saved. A CUDA graph makes one launch of hundreds.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from onmt.data.dataset import Batch
from onmt.errors import OnmtError
from onmt.logger import Logger
from onmt.models.base import Model
from onmt.models.loading import first_not_finite
from onmt.modules.generator import Loss
from onmt.modules.noise import Noise, TrainingStep
from onmt.spec.model import ImageSpec
from onmt.training.distributed import Replicas

_MOST_GRAPHS: Final = 64
"""Limits memory: each graph keeps that of its activations."""

_Shape = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Clipping:
    """Limits of gradients.

    max_norm: largest L2 norm of all gradients together. table_max_norm: largest norm of the gradient of each
    table of word vectors. 0: no limit. tables: the places of the tables' gradients among all gradients.
    """

    max_norm: float
    table_max_norm: float = 0.0
    tables: Sequence[int] = ()

    def apply(self, gradients: list[Tensor], divisor: float | Tensor) -> Tensor:
        """Divide the gradients by `divisor`, then scale down those above a limit, in place.

        Return the L2 norm of all of them together, after the division and before the clipping (0-dim tensor).
        """
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))) / divisor
        factor = torch.ones_like(norm) if self.max_norm <= 0 else torch.clamp(self.max_norm / norm, max=1.0)
        torch._foreach_mul_(gradients, factor / divisor)
        if self.table_max_norm > 0 and self.tables:
            of_tables = [gradients[place] for place in self.tables]
            norms = torch._foreach_norm(of_tables)
            torch._foreach_mul_(
                of_tables, [torch.clamp(self.table_max_norm / each, max=1.0) for each in norms]
            )
        return norm


@dataclass(frozen=True)
class _Captured:
    """A graph, the batch tensors that it reads, and the tensors that it writes."""

    graph: "torch.cuda.CUDAGraph"
    batch: Batch
    total: Tensor
    per_sentence: Tensor
    gradients: Sequence[Tensor | None]


class GradientGraphs:
    """Computes loss and gradients of batches; captures a graph when a shape of batch comes a second time.

    The first time is the warm-up that capturing needs. At most `_MOST_GRAPHS` graphs are kept; the least
    recently used one is dropped. One generator gives the random numbers; before each replay it gets the seed
    that the path without graphs gives to a new generator.
    """

    def __init__(
        self, model: Model, parameters: Sequence[Tensor], device: torch.device, logger: Logger
    ) -> None:
        self._model = model
        self._parameters = parameters
        self._logger = logger
        self._generator = torch.Generator(device=device)
        self._scale = torch.ones((), device=device)
        self._graphs: OrderedDict[_Shape, _Captured] = OrderedDict()
        self._seen: set[_Shape] = set()
        self._pool = torch.cuda.graph_pool_handle()
        self._failed = isinstance(model.spec.source, ImageSpec)
        if self._failed:  # no test without a GPU can show that a replay keeps batch statistics right
            logger.warning("-cuda_graphs has no effect: models that read images train without graphs")

    def compute(self, batch: Batch, step: TrainingStep) -> Loss | None:
        """Write the gradients of the batch's (scaled) loss to `grad` of the parameters, which must be empty.

        Return None, with nothing done, if there is no graph for this batch, or not yet.
        """
        if self._failed or not _can_be_captured(batch, step):
            return None
        shape = _shape_of(batch)
        captured = self._graphs.get(shape)
        if captured is None:
            if shape not in self._seen:
                self._seen.add(shape)
                return None
            captured = self._capture(batch, step)
            if captured is None:
                return None
            self._graphs[shape] = captured
            if len(self._graphs) > _MOST_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(shape)
        self._replay(captured, batch, step)
        for parameter, gradient in zip(self._parameters, captured.gradients, strict=True):
            parameter.grad = gradient
        words, divisor = self._model.counts(batch)
        # Copies, since the next replay overwrites the graph's tensors.
        return Loss(captured.total.clone(), words, divisor, captured.per_sentence.clone())

    def _capture(self, batch: Batch, step: TrainingStep) -> _Captured | None:
        """Capture a graph for batches of this shape; return None, with a warning, if that fails."""
        held = replace(
            batch,
            src=batch.src.clone(),
            src_lengths=batch.src_lengths.clone(),
            tgt_input=None if batch.tgt_input is None else batch.tgt_input.clone(),
            tgt_output=None if batch.tgt_output is None else batch.tgt_output.clone(),
            indices=batch.indices.clone(),
        )
        scaled = step.loss_scale is not None
        static_step = replace(step, noise=Noise(self._generator), loss_scale=self._scale if scaled else None)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        try:
            # thread_local: the threads that read the next batches may allocate memory meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                loss = self._model.loss(held, static_step)
                total = loss.total * self._scale if scaled else loss.total
                found = torch.autograd.grad(total, list(self._parameters), allow_unused=True)
                # Copies: both biases of a cell get the same tensor, and clipping changes gradients in place.
                gradients = [None if gradient is None else gradient.clone() for gradient in found]
        except RuntimeError as error:
            self._failed = True
            reason = str(error).partition("\n")[0]
            self._logger.warning(
                f"-cuda_graphs: a step cannot be captured, going on without graphs ({reason})"
            )
            return None
        return _Captured(graph, held, loss.total.detach(), loss.per_sentence, gradients)

    def _replay(self, captured: _Captured, batch: Batch, step: TrainingStep) -> None:
        held = captured.batch
        held.src.copy_(batch.src)
        held.src_lengths.copy_(batch.src_lengths)
        for static, given in ((held.tgt_input, batch.tgt_input), (held.tgt_output, batch.tgt_output)):
            if static is not None and given is not None:
                static.copy_(given)
        if step.loss_scale is not None:
            self._scale.copy_(step.loss_scale)
        self._generator.manual_seed(step.noise.generator.initial_seed())
        captured.graph.replay()


def _can_be_captured(batch: Batch, step: TrainingStep) -> bool:
    """Return whether the kernels of a step depend only on the batch's shape: no packed sequences, no
    scheduled sampling, no vocabulary restricted to the epoch's words.
    """
    return batch.lengths_if_uneven is None and step.gold_probability == 1 and step.output_words is None


def _shape_of(batch: Batch) -> _Shape:
    target = () if batch.tgt_output is None else tuple(batch.tgt_output.shape)
    return tuple(batch.src.shape), target


_MOST_IN_A_ROW: Final = 10
"""A training ends after this many skipped steps in a row."""

_ADVICE: Final = (
    "start again with a smaller -learning_rate or -max_grad_norm (with -model, optimizer.learning_rate or "
    "optimizer.clip_gradients)"
)
_READ_INTERVAL: Final = {"cpu": 1}  # steps between two reads of the flags where a read is free
_READ_INTERVAL_OF_GPU: Final = 1000
_MOST_WARNINGS: Final = 20  # skipped steps that are logged one by one between two reports


class NotFiniteError(OnmtError):
    """The numbers of a training are no longer finite. Files saved before are unchanged."""


@dataclass(frozen=True)
class Attempt:
    """A step that is skipped if its loss or gradient is not finite.

    norm: of the gradients, 0-dim; finite: whether the step was taken, 0-dim; indices (B each),
    loss (0-dim), words: of this replica's batches; lowered: whether an overflow lowered the loss
    scale, 0-dim, None without one.
    """

    epoch: int
    iteration: int
    indices: Sequence[Tensor]
    learning_rate: float
    loss: Tensor
    norm: Tensor
    finite: Tensor
    words: int
    lowered: Tensor | None = None


class SkippedSteps:
    """Logs which steps were skipped, and ends a training that cannot recover.

    All replicas must call each method at the same steps.
    """

    def __init__(self, replicas: Replicas, logger: Logger, device: torch.device) -> None:
        self.in_a_row = 0
        """Number of skipped steps up to the last one that was read."""
        self._words = 0
        self._warnings = 0
        self._replicas = replicas
        self._logger = logger
        self._unread = _READ_INTERVAL.get(device.type, _READ_INTERVAL_OF_GPU)
        self._attempts: list[Attempt] = []

    def record(self, attempt: Attempt) -> None:
        """Record a step. Reads the flags, which synchronises with a GPU, only after many steps."""
        self._attempts.append(attempt)
        if len(self._attempts) >= self._unread:
            self.read()

    def read(self, loss: Tensor | None = None) -> float | None:
        """Log the steps skipped since the last call. Raises NotFiniteError after `_MOST_IN_A_ROW`.

        loss: a float64 scalar to read in the same transfer, so that the host waits once. Return its value.
        """
        attempts, self._attempts = self._attempts, []
        finite = [attempt.finite for attempt in attempts]
        lowered = [attempt.finite if attempt.lowered is None else attempt.lowered for attempt in attempts]
        values = [flag.double() for flag in (*finite, *lowered)] + ([] if loss is None else [loss])
        if not values:
            return None
        numbers = torch.stack(values).tolist()
        count = len(attempts)
        flags = zip(attempts, numbers[:count], numbers[count : 2 * count], strict=True)
        self._judge((attempt, bool(taken), bool(fell)) for attempt, taken, fell in flags)
        return None if loss is None else float(numbers[-1])

    def _judge(self, attempts: Iterable[tuple[Attempt, bool, bool]]) -> None:
        """Log skipped attempts; each comes with flags: was it taken, and did it lower the loss scale."""
        for attempt, finite, lowered in attempts:
            if finite:
                self.in_a_row = 0
                continue
            self._words += attempt.words
            description = self._describe(attempt)
            if lowered:  # no fault of the model: the next step has a smaller scale
                self._warn(description, "the loss scale of -fp16 was too large and is halved")
                continue
            self.in_a_row += 1
            if self.in_a_row == _MOST_IN_A_ROW:
                raise NotFiniteError(
                    f"{_MOST_IN_A_ROW} steps in a row had a loss or a gradient that is not finite, the last "
                    f"one was {description}; {_ADVICE}"
                )
            self._warn(description, "its loss or gradient is not finite")

    def take_words(self) -> int:
        """Return the number of this replica's words that were skipped since the last call."""
        words, self._words, self._warnings = self._words, 0, 0
        return words

    def require_finite(self, tensors: Mapping[str, Tensor], last_saved: str) -> None:
        """Raise NotFiniteError on all replicas if a tensor of one of them is not finite."""
        name = first_not_finite(tensors)
        if self._replicas.maximum(int(name is not None)):
            where = f"'{name}'" if name is not None else "the model of another replica"
            raise NotFiniteError(f"not saved: {where} has numbers that are not finite{last_saved}; {_ADVICE}")

    def _warn(self, description: str, reason: str) -> None:
        self._warnings += 1
        if self._warnings <= _MOST_WARNINGS:
            self._logger.warning(f"Skipped a step, {reason}: {description}")
        if self._warnings == _MOST_WARNINGS:
            self._logger.warning("More skipped steps up to the next report are not logged")

    def _describe(self, attempt: Attempt) -> str:
        mine = [index for indices in attempt.indices for index in indices.tolist()]
        lines = sorted(index + 1 for indices in self._replicas.all_gather(mine) for index in indices)
        return (
            f"epoch {attempt.epoch}, iteration {attempt.iteration} (lines {_ranges(lines)} of the data as it "
            f"is stored, learning rate {attempt.learning_rate:g}, loss {float(attempt.loss):g}, "
            f"gradient norm {float(attempt.norm):g})"
        )


def _ranges(numbers: Iterable[int]) -> str:
    """Format ascending numbers as `3-7, 9`; the first few ranges only."""
    parts = [f"{first}-{last}" if last > first else str(first) for first, last in _runs(numbers)]
    return ", ".join(parts if len(parts) <= 8 else [*parts[:7], "..."])


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if last is not None and number <= last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


_INITIAL: Final = 2.0**16
_SMALLEST: Final = 1.0
_LARGEST: Final = 2.0**24
_GROWTH_INTERVAL: Final = 2000  # steps without overflow before the scale is doubled


class LossScale:
    """A factor of the loss that grows until gradients overflow (Micikevicius et al. 2018).

    Scale and counter stay on the device, so the host never waits for them. An overflow halves the scale; the
    optimiser skips that step, like every step whose gradients are not finite.
    """

    def __init__(self, device: torch.device, state: Mapping[str, Any] | None) -> None:
        """state: what `to_state` returned, None for a new training."""
        scale, steps = (_INITIAL, 0) if state is None else (state["scale"], state["steps"])
        self.scale = torch.full((), float(scale), device=device)
        self._steps = torch.full((), int(steps), device=device)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss multiplied by the scale, whose gradients are to be computed."""
        return loss * self.scale

    def divisor(self, divisor: float | Tensor) -> Tensor:
        """Return the divisor of the scaled loss's gradients, where `divisor` is that of the loss."""
        return self.scale * divisor

    def update(self, norm: Tensor) -> Tensor:
        """Choose the next step's scale by the norm of this step's gradients (0-dim).

        Return whether an overflow lowered the scale, 0-dim; false if the scale was the smallest already.
        """
        overflow = ~torch.isfinite(norm)
        lowered = overflow & (self.scale > _SMALLEST)
        steps = torch.where(overflow, 0, self._steps + 1)
        grown = torch.where(steps >= _GROWTH_INTERVAL, self.scale * 2, self.scale)
        self.scale = torch.where(overflow, self.scale / 2, grown).clamp(_SMALLEST, _LARGEST)
        self._steps = torch.where(steps >= _GROWTH_INTERVAL, 0, steps)
        return lowered

    def to_state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint; synchronises with the device."""
        return {"scale": float(self.scale), "steps": int(self._steps)}
