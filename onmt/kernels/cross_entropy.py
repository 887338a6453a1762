"""Top-k, and the output layer fused with its cross-entropy, computed over chunks of rows.

Log-probabilities are never stored: the forward pass overwrites a chunk's logits with their gradient and
accumulates the gradients of weight and bias immediately. Shapes: N rows, H inputs, V classes.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from onmt.kernels.products import add_product, set_product


class _Sizes(NamedTuple):
    """Number of logits per chunk, which bounds the memory, and per piece of a chunk. A piece is small enough
    to stay in the cache between two passes over it.
    """

    chunk: int
    piece: int


_SIZES: Final = {"cpu": _Sizes(8 << 20, 1 << 19), "cuda": _Sizes(128 << 20, 128 << 20)}


_LARGEST_SCALE: Final = 2.0**14
"""Limit of the loss scale: a logit's gradient is at most 1 in magnitude, and float16 ends at 65,504."""


class LinearCrossEntropy(torch.autograd.Function):
    """The loss -log softmax(inputs @ weight^T + bias)[target] per row, and its sum; the plain twin is
    F.cross_entropy of F.linear.

    With label smoothing (Szegedy et al. 2016) the gradient is that of (1 - smoothing) times this loss plus
    smoothing times the mean over all V classes of -log softmax. The returned values are still those of the
    plain loss, so they can be compared with losses under any other smoothing.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        mask: Tensor | None,
        dtype: torch.dtype | None,
        smoothing: float,
        scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the total (0-dim) and the losses N, through which no gradient flows.

        inputs: N H; weight: V H; bias: V; targets: N; mask: N, 1 for a row that counts, else 0 (None: all
        rows count); dtype: of the products' factors; scale: 0-dim, the factor by which the loss will be
        multiplied afterwards.

        The gradients are computed here, before the total is scaled. With float16 factors they must include
        the scale already, or small ones would underflow in the products; `backward` divides by it again.
        """
        if scale is not None:
            scale = scale.clamp(max=_LARGEST_SCALE) if dtype is torch.float16 else None
        ctx.scale = scale
        work = _Work(inputs, weight, bias, dtype, smoothing if any(ctx.needs_input_grad) else None, scale)
        losses = inputs.new_empty(len(inputs))
        for chunk in work.chunks():
            losses[chunk] = work.forward(chunk, targets[chunk], None if mask is None else mask[chunk])
        ctx.gradients = work.gradients
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.gradients
        if ctx.scale is not None:
            grad_total = grad_total / ctx.scale
        # Comparing the factor is free on a CPU; on a GPU the host would have to wait for it.
        if gradients and (grad_total.device.type != "cpu" or grad_total != 1):
            gradients = tuple(gradient * grad_total for gradient in gradients)
        return *(gradients or (None, None, None)), None, None, None, None, None


class _Work:
    """State shared by the chunks: the factors in their dtype, and the gradients accumulated so far.

    smoothing: None if no gradients are needed. scale: a factor of all gradients, 0-dim.
    """

    def __init__(
        self,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        dtype: torch.dtype | None,
        smoothing: float | None,
        scale: Tensor | None,
    ) -> None:
        self._smoothing = smoothing or 0.0
        self._scale = scale
        self._inputs = inputs if dtype is None else inputs.to(dtype)
        self._weight = weight if dtype is None else weight.to(dtype)
        self._bias = bias
        sizes = _SIZES.get(inputs.device.type, _SIZES["cuda"])
        self._chunk, self._piece = (max(1, size // len(weight)) for size in sizes)
        rows = min(len(inputs), self._chunk)
        self._logits = inputs.new_empty(rows, len(weight))
        self._narrow = self._logits if dtype is None else self._inputs.new_empty(rows, len(weight))
        self.gradients: tuple[Tensor, ...] = ()
        if smoothing is not None:
            of_weight = torch.empty_like(weight) if len(inputs) else torch.zeros_like(weight)
            self.gradients = (torch.empty_like(inputs), of_weight, torch.zeros_like(bias))

    def chunks(self) -> Iterator[slice]:
        """Slices of the rows, one per chunk."""
        return _slices(len(self._inputs), self._chunk)

    def forward(self, chunk: slice, targets: Tensor, mask: Tensor | None) -> Tensor:
        """Return the losses of a chunk, N, and add the chunk's part to the gradients."""
        rows = len(targets)
        torch.mm(self._inputs[chunk], self._weight.t(), out=self._narrow[:rows])
        losses = [
            self._piece_losses(piece, targets[piece], None if mask is None else mask[piece])
            for piece in _slices(rows, self._piece)
        ]
        if self.gradients:
            grad_inputs, grad_weight, _ = self.gradients
            gradient = self._narrow[:rows]
            set_product(grad_inputs[chunk], gradient, self._weight)
            add = set_product if chunk.start == 0 else add_product
            add(grad_weight, gradient.t(), self._inputs[chunk])
        return torch.cat(losses)

    def _piece_losses(self, piece: slice, targets: Tensor, mask: Tensor | None) -> Tensor:
        """Return the losses of some rows of the chunk; overwrite logits with their gradient if it is
        needed.
        """
        logits = torch.add(self._narrow[piece], self._bias, out=self._logits[piece])
        wanted = logits.gather(1, targets[:, None])[:, 0]
        largest = logits.amax(dim=1)
        probabilities = torch.softmax(logits, dim=1, out=logits)
        # The largest probability is 1 / sum exp(logit - largest), at least 1 / V: its logarithm is safe.
        losses = largest - probabilities.amax(dim=1).log() - wanted
        if self.gradients:
            if self._smoothing:
                probabilities.sub_(self._smoothing / probabilities.shape[1])
            of_target = torch.full_like(losses, self._smoothing - 1)
            probabilities.scatter_add_(1, targets[:, None], of_target[:, None])
            if mask is not None:
                probabilities.mul_(mask[:, None])
            if self._scale is not None:
                probabilities.mul_(self._scale)
            self.gradients[2].add_(probabilities.sum(0))
            if self._narrow is not self._logits:
                self._narrow[piece] = probabilities
        return losses if mask is None else losses * mask


def _slices(count: int, size: int) -> Iterator[slice]:
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


_COLUMNS: Final = 32
"""Scores per column, of which only the maximum is compared first: the best K scores lie in the K columns with
the largest maxima.
"""

_WORTHWHILE: Final = 64
"""Number of columns per requested score from which on `top_k` is faster than torch.topk."""


def top_k(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest scores of each row, best first, and their indices, R K each, as torch.topk
    does.

    scores: R V. On the CPU torch.topk looks at every score by itself. One vectorised pass over the columns
    leaves it only 32 K candidates and V / 32 maxima.
    """
    width = scores.shape[1] // _COLUMNS
    if scores.device.type != "cpu" or width < _WORTHWHILE * count:
        values, places = scores.topk(count, dim=1)
        return values, places
    blocks = scores[:, : width * _COLUMNS].unflatten(1, (_COLUMNS, width))
    columns = blocks.amax(dim=1).topk(count, dim=1).indices
    candidates = blocks.gather(2, columns[:, None].expand(-1, _COLUMNS, -1)).flatten(1)
    rest = scores[:, width * _COLUMNS :]
    values, chosen = torch.cat([candidates, rest], dim=1).topk(count, dim=1)
    inside = chosen // count * width + columns.gather(1, chosen % count)
    return values, torch.where(
        chosen < candidates.shape[1], inside, chosen - candidates.shape[1] + width * _COLUMNS
    )
