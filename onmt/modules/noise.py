"""Random draws of a training step: all dropout masks and coins come from one generator, which the trainer
reseeds at every step.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


class Noise:
    """Draws dropout masks and uniform numbers from one `torch.Generator` on the model's device."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def dropout_mask(self, shape: tuple[int, ...], probability: float, like: Tensor) -> Tensor | None:
        """Draw a mask of `shape` holding 0 with `probability` and 1 / (1 - probability) otherwise; None if
        `probability` is 0.

        On the CPU `probability` is rounded to a multiple of 2^-16, because each number uses 16 random bits:
        `bernoulli_` takes 20 times as long there.
        """
        if probability <= 0:
            return None
        mask = torch.empty(shape, dtype=like.dtype, device=like.device)
        if probability >= 1:
            return mask.zero_()
        if mask.device.type != "cpu":
            return mask.bernoulli_(1 - probability, generator=self.generator).div_(1 - probability)
        return mask.copy_(self._coins(mask, probability)).mul_(1 / (1 - probability))

    def _coins(self, mask: Tensor, probability: float) -> Tensor:
        """Draw whether each number of `mask` is kept, in the mask's shape."""
        words = torch.empty(-(-mask.numel() // 4), dtype=torch.int64)
        words.random_(-(1 << 63), None, generator=self.generator)
        numbers = words.view(torch.int16)[: mask.numel()].view(mask.shape)
        return numbers >= round(probability * (1 << 16)) - (1 << 15)

    def uniform(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Draw uniform numbers in [0, 1)."""
        return torch.rand(shape, generator=self.generator, device=device)


@dataclass(frozen=True)
class TrainingStep:
    """The randomness and settings of a training step's forward pass; evaluation passes None instead.

    `gold_probability`: the probability that the decoder is fed the gold previous word (scheduled sampling,
    Bengio et al. 2015); `sampling_scope`: whether that is drawn per word or once per sentence.
    `output_words`: sorted ids, PAD first, to which the predicted vocabulary is restricted; None: the whole
    vocabulary. `label_smoothing`, `loss_scale` (0-dim): see `LinearCrossEntropy`. `coverage_weight`: of the
    coverage loss, see `Seq2Seq.loss`.
    """

    noise: Noise
    gold_probability: float = 1.0
    sampling_scope: Literal["token", "sentence"] = "token"
    output_words: Tensor | None = None
    label_smoothing: float = 0.0
    loss_scale: Tensor | None = None
    coverage_weight: float = 0.0


def dropped(inputs: Tensor, mask: Tensor | None) -> Tensor:
    """Apply a dropout mask, if there is one."""
    return inputs if mask is None else inputs * mask
