"""An image encoder by Inception v3 (google/seq2seq's InceptionV3Encoder): every cell of the last grid is a
source position.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.modules.encoding import Encoding, HostLengths
from onmt.modules.noise import Noise
from onmt.spec.inception import Branch, Layer, Stage, stages_to
from onmt.spec.layers import InceptionEncoderSpec


class BatchNormalisation(nn.Module):
    """Batch normalisation of channels over batch and grid, then scaled and shifted (Ioffe and Szegedy 2015).

    Training uses the batch's own mean and variance, and moves the running ones towards them by a tenth.
    Evaluation uses the running ones, so that no result depends on the rest of a batch.
    """

    running_mean: Tensor
    running_var: Tensor
    momentum = 0.1
    epsilon = 0.001

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, inputs: Tensor, training: bool) -> Tensor:
        """inputs B C rows columns -> the same shape. With a single number per channel the running statistics
        are used, since it has no variance.
        """
        several = inputs.shape[0] * inputs.shape[2] * inputs.shape[3] > 1
        return F.batch_norm(
            inputs,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=training and several,
            momentum=self.momentum,
            eps=self.epsilon,
        )

    def reset(self) -> None:
        """Reset to the identity: scale 1, shift 0, running mean 0 and running variance 1."""
        with torch.no_grad():
            self.weight.fill_(1.0)
            self.bias.zero_()
            self.running_mean.zero_()
            self.running_var.fill_(1.0)


class _Convolution(nn.Module):
    """relu(normalised(convolution without bias))."""

    def __init__(self, layer: Layer, inputs: int) -> None:
        super().__init__()
        rows, columns = layer.window
        padding = (rows // 2, columns // 2) if layer.padded else (0, 0)
        # As in all models here, weights are initialised later.
        self.conv = nn.utils.skip_init(
            nn.Conv2d, inputs, layer.channels, layer.window, layer.stride, padding, bias=False
        )
        self.bn = BatchNormalisation(layer.channels)

    def forward(self, inputs: Tensor, training: bool) -> Tensor:
        return torch.relu(self.bn(self.conv(inputs), training))


class _Stage(nn.Module):
    """The branches of a stage; each layer is a submodule under its own name."""

    def __init__(self, stage: Stage, inputs: int) -> None:
        super().__init__()
        self.stage = stage
        for branch in stage.branches:
            channels = inputs
            for layer in branch.layers:
                self.add_module(layer.name, _Convolution(layer, channels))
                channels = layer.channels
            for layer in branch.fork:
                self.add_module(layer.name, _Convolution(layer, channels))

    def forward(self, inputs: Tensor, training: bool) -> Tensor:
        outputs = [self._branch(branch, inputs, training) for branch in self.stage.branches]
        return torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]

    def _branch(self, branch: Branch, outputs: Tensor, training: bool) -> Tensor:
        if branch.pool == "max":
            outputs = F.max_pool2d(outputs, 3, stride=2)
        elif branch.pool == "average":
            # As in TensorFlow, the average excludes padding.
            outputs = F.avg_pool2d(outputs, 3, stride=1, padding=1, count_include_pad=False)
        for layer in branch.layers:
            outputs = self.get_submodule(layer.name)(outputs, training)
        if not branch.fork:
            return outputs
        forked = [self.get_submodule(layer.name)(outputs, training) for layer in branch.fork]
        return torch.cat(forked, dim=1)


class InceptionV3(nn.Module):
    """Inception v3 up to an endpoint. Parameters and statistics have torchvision's names."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.stages = stages_to(endpoint)
        channels = 3
        for name, stage in self.stages.items():
            only = stage.branches[0].layers
            if name.startswith("Conv2d"):
                self.add_module(name, _Convolution(only[0], channels))
            elif name.startswith("Mixed"):
                self.add_module(name, _Stage(stage, channels))
            channels = stage.channels(channels)

    def forward(self, images: Tensor, training: bool) -> Tensor:
        """images B 3 height width, from -1 to 1 -> B C rows columns."""
        for name in self.stages:
            if name.startswith("MaxPool"):
                images = F.max_pool2d(images, 3, stride=2)
            else:
                images = self.get_submodule(name)(images, training)
        return images


class InceptionEncoder(nn.Module):
    """An image encoder. Memory: the cells of the grid, row by row; state: their mean.

    The original intends the mean as the state, but passes on the grid itself
    (seq2seq/encoders/image_encoder.py).
    """

    def __init__(self, spec: InceptionEncoderSpec) -> None:
        super().__init__()
        self.network = InceptionV3(spec.endpoint)

    def forward(
        self, inputs: Tensor, lengths: Tensor, host_lengths: HostLengths, noise: Noise | None
    ) -> Encoding:
        """inputs B 3 height width, from -1 to 1 -> Encoding of B (rows * columns) C.

        All images have one size, so the values of `lengths` and `host_lengths` are ignored.
        """
        grid: Tensor = self.network(inputs, training=noise is not None)
        memory = grid.flatten(2).transpose(1, 2).contiguous()
        return Encoding(memory, torch.full_like(lengths, memory.shape[1]), None, (memory.mean(1),))
