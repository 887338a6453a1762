"""The output layer with its cross-entropy in one function, chunk of rows by chunk of rows; and top-k.

Log-probabilities are never kept: the forward pass turns a chunk's logits into its gradient, in place, and
adds up the gradients of weights and bias at once. N rows, H inputs, V classes.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from onmt.kernels.products import add_product, set_product


class _Sizes(NamedTuple):
    """Logits per chunk, which bounds the memory, and per piece of a chunk, which stays in the cache from one
    pass over it to the next.
    """

    chunk: int
    piece: int


_SIZES: Final = {"cpu": _Sizes(8 << 20, 1 << 19), "cuda": _Sizes(128 << 20, 128 << 20)}


_LARGEST_SCALE: Final = 2.0**14
"""The gradient of a logit is at most 1 in magnitude, and float16 ends at 65,504."""


class LinearCrossEntropy(torch.autograd.Function):
    """-log softmax(inputs @ weight^T + bias)[target] per row, and its sum; the plain twin is F.cross_entropy
    of F.linear.

    With label smoothing (Szegedy et al. 2016) the gradient is that of (1 - smoothing) times this loss plus
    smoothing times the mean over all V classes of -log softmax; the values stay those of the plain loss, so
    that they can be compared with losses of any other smoothing.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        counts: Tensor | None,
        dtype: torch.dtype | None,
        smoothing: float,
        scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """inputs N H, weight V H, bias V, targets N, counts N (1 for a row that counts, 0 for one that does
        not; None: all count), dtype: format of the products' factors, scale: the factor that the loss will
        get afterwards (0-dim) -> total (0-dim), and the losses N, through which no gradient flows.

        The gradients are computed here, before the total is scaled. With float16 factors they need the scale
        already, or small ones would underflow in the products; `backward` divides by it again.
        """
        if scale is not None:
            scale = scale.clamp(max=_LARGEST_SCALE) if dtype is torch.float16 else None
        ctx.scale = scale
        work = _Work(inputs, weight, bias, dtype, smoothing if any(ctx.needs_input_grad) else None, scale)
        losses = inputs.new_empty(len(inputs))
        for chunk in work.chunks():
            losses[chunk] = work.forward(chunk, targets[chunk], None if counts is None else counts[chunk])
        ctx.gradients = work.gradients
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.gradients
        if ctx.scale is not None:
            grad_total = grad_total / ctx.scale
        # On a CPU looking at the factor costs nothing; elsewhere the host would wait for it.
        if gradients and (grad_total.device.type != "cpu" or grad_total != 1):
            gradients = tuple(gradient * grad_total for gradient in gradients)
        return *(gradients or (None, None, None)), None, None, None, None, None


class _Work:
    """State shared by the chunks: narrow copies of the factors, and the gradients computed so far.

    smoothing: None where no gradients are wanted. scale: a factor of all gradients, 0-dim.
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
        """The rows, a chunk at a time."""
        return _slices(len(self._inputs), self._chunk)

    def forward(self, chunk: slice, targets: Tensor, counts: Tensor | None) -> Tensor:
        """The losses of a chunk, N; adds its part to the gradients."""
        rows = len(targets)
        torch.mm(self._inputs[chunk], self._weight.t(), out=self._narrow[:rows])
        losses = [
            self._piece_losses(piece, targets[piece], None if counts is None else counts[piece])
            for piece in _slices(rows, self._piece)
        ]
        if self.gradients:
            grad_inputs, grad_weight, _ = self.gradients
            gradient = self._narrow[:rows]
            set_product(grad_inputs[chunk], gradient, self._weight)
            add = set_product if chunk.start == 0 else add_product
            add(grad_weight, gradient.t(), self._inputs[chunk])
        return torch.cat(losses)

    def _piece_losses(self, piece: slice, targets: Tensor, counts: Tensor | None) -> Tensor:
        """The losses of some rows of the chunk; their logits become their gradient, if it is wanted."""
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
            if counts is not None:
                probabilities.mul_(counts[:, None])
            if self._scale is not None:
                probabilities.mul_(self._scale)
            self.gradients[2].add_(probabilities.sum(0))
            if self._narrow is not self._logits:
                self._narrow[piece] = probabilities
        return losses if counts is None else losses * counts


def _slices(count: int, size: int) -> Iterator[slice]:
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


_COLUMNS: Final = 32
"""Scores that are first compared with each other: the best K lie in the K columns with the largest maxima."""

_WORTHWHILE: Final = 64
"""Columns of scores per wanted one from which on the detour is faster."""


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row, R V, best first, and their places, R K each; as torch.topk.

    On the CPU torch looks at every score by itself. One vectorised pass over blocks of columns leaves it 32 K
    candidates and V / 32 maxima to look at.
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
