"""Forward and backward passes as CUDA graphs: one launch instead of hundreds."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from onmt.data.batch import Batch
from onmt.logger import Logger
from onmt.models.base import Model
from onmt.modules.generator import Loss
from onmt.modules.noise import Noise, TrainingStep

_MOST_GRAPHS: Final = 64
"""A graph keeps the memory of its activations."""

_Shape = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _Captured:
    """A graph, the tensors that it reads a batch from, and those that it writes."""

    graph: "torch.cuda.CUDAGraph"
    batch: Batch
    total: Tensor
    per_sentence: Tensor
    gradients: Sequence[Tensor | None]


class GradientGraphs:
    """Computes loss and gradients of batches; captures a graph when a shape of batch comes a second time.

    The first time serves as the warm-up that capturing needs. At most `_MOST_GRAPHS` graphs are kept; the one
    not used for longest goes. Random numbers come from one generator, seeded before each replay as the plain
    path seeds a new one.
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
        self._failed = False

    def compute(self, batch: Batch, step: TrainingStep) -> Loss | None:
        """Leave the gradients of the batch's (scaled) loss in `grad` of the parameters, which must be empty.

        None: nothing was done, because no graph can stand for this batch, or not yet.
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
        # Copies: the next replay overwrites what this one wrote.
        return Loss(captured.total.clone(), words, divisor, captured.per_sentence.clone())

    def _capture(self, batch: Batch, step: TrainingStep) -> _Captured | None:
        """A graph for batches of this shape; None, with a warning, if none can be captured."""
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
            # Threads that read the next batches may go on allocating memory.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                loss = self._model.loss(held, static_step)
                total = loss.total * self._scale if scaled else loss.total
                found = torch.autograd.grad(total, list(self._parameters), allow_unused=True)
                # Both biases of a cell get the same tensor, and clipping changes gradients in place.
                gradients = [None if gradient is None else gradient.clone() for gradient in found]
        except RuntimeError as error:
            self._failed = True
            reason = str(error).partition("\n")[0]
            self._logger.warning(f"-cuda_graphs: a step cannot be captured, none will be ({reason})")
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
    """Whether the kernels of a step depend on nothing but the batch's shape: no packed sequences, no coins
    between gold and predicted words, no vocabulary of the epoch's own.
    """
    return batch.lengths_if_uneven is None and step.gold_probability == 1 and step.output_words is None


def _shape_of(batch: Batch) -> _Shape:
    target = () if batch.tgt_output is None else tuple(batch.tgt_output.shape)
    return tuple(batch.src.shape), target
