"""The Inception network of onmt/modules/inception_encoder.py and onmt/spec/inception.py."""

import numpy as np
import pytest
import torch

from onmt.modules.inception_encoder import BatchNormalisation, InceptionEncoder, InceptionV3
from onmt.modules.noise import Noise
from onmt.spec.inception import STAGES, channels_at, grid_at
from onmt.spec.layers import InceptionEncoderSpec


def filled(module: torch.nn.Module, seed: int = 1) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.1, generator=generator)
    return module


def images(batch: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.rand((batch, 3, height, width), generator=generator) * 2 - 1


def test_the_network_is_as_large_as_the_published_one() -> None:
    network = InceptionV3("Mixed_7c")
    # The published model has 23 834 568 parameters without its auxiliary classifier. Of these,
    # 2048 * 1000 + 1000 are in the main classifier, which an encoder lacks.
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_834_568 - 2_049_000


def test_names_are_those_of_torchvision() -> None:
    names = dict(InceptionV3("Mixed_7c").named_parameters())
    shapes = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.bias": (192,),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6e.branch7x7dbl_2.conv.weight": (192, 192, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
    }
    assert {name: tuple(names[name].shape) for name in shapes} == shapes


@pytest.mark.parametrize("endpoint", STAGES)
def test_the_tables_say_what_comes_out(endpoint: str) -> None:
    with torch.no_grad():
        grid = filled(InceptionV3(endpoint))(images(1, 75, 90), training=False)
    assert tuple(grid.shape[1:]) == (channels_at(endpoint), *grid_at(endpoint, 75, 90))


def test_grids_of_the_published_size() -> None:
    assert [grid_at(endpoint, 299, 299)[0] for endpoint in ("MaxPool_3a_3x3", "Mixed_5d", "Mixed_6e")] == [
        73,
        35,
        17,
    ]
    assert (channels_at("Mixed_7c"), grid_at("Mixed_7c", 299, 299)) == (2048, (8, 8))
    assert grid_at("Mixed_7c", 75, 75) == (1, 1)
    assert grid_at("Mixed_7c", 74, 299) == (0, 0)


def test_the_average_of_neighbours_leaves_out_what_lies_outside() -> None:
    network = InceptionV3("Mixed_5b")
    stage = network.get_submodule("Mixed_5b")
    for layer in stage.children():
        layer.bn.reset()
        torch.nn.init.ones_(layer.conv.weight)
    with torch.no_grad():
        output = stage(torch.ones(1, 192, 4, 4), training=False)
    torch.testing.assert_close(output[:, -32:], torch.full((1, 32, 4, 4), 192 / (1 + 0.001) ** 0.5))


def test_normalisation_and_its_statistics() -> None:
    part = BatchNormalisation(2)
    part.reset()
    with torch.no_grad():
        part.weight.copy_(torch.tensor([2.0, 3.0]))
        part.bias.copy_(torch.tensor([0.5, -1.0]))
    x = images(4, 3, 5)[:, :2]
    values = x.double().numpy()
    mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3))

    def expected(mean: np.ndarray, variance: np.ndarray) -> torch.Tensor:
        normalised = (values - mean[:, None, None]) / np.sqrt(variance + 0.001)[:, None, None]
        scaled = normalised * np.array([2.0, 3.0])[:, None, None] + np.array([0.5, -1.0])[:, None, None]
        return torch.from_numpy(scaled).float()

    torch.testing.assert_close(part(x, training=True), expected(mean, variance))
    count = x.shape[0] * x.shape[2] * x.shape[3]
    running_mean, running_variance = 0.1 * mean, 0.9 + 0.1 * variance * count / (count - 1)
    torch.testing.assert_close(
        part.running_mean.double(), torch.from_numpy(running_mean), rtol=1e-5, atol=1e-7
    )
    torch.testing.assert_close(
        part.running_var.double(), torch.from_numpy(running_variance), rtol=1e-5, atol=1e-7
    )
    torch.testing.assert_close(part(x, training=False), expected(running_mean, running_variance))


def test_one_number_per_channel_is_no_error() -> None:
    part = BatchNormalisation(2)
    part.reset()
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(part(x, training=True), x / 1.001**0.5)
    assert part.running_mean.tolist() == [0, 0]


def test_memory_is_the_grid_row_by_row_and_the_state_its_mean() -> None:
    encoder = filled(InceptionEncoder(InceptionEncoderSpec(endpoint="Conv2d_2a_3x3")))
    x = images(2, 11, 15)
    with torch.no_grad():
        encoding = encoder(x, torch.ones(2, dtype=torch.int64), None, None)
        grid = encoder.network(x, training=False)
    assert tuple(grid.shape) == (2, 32, 3, 5)
    assert tuple(encoding.memory.shape) == (2, 15, 32)
    assert torch.equal(encoding.memory[1, 1 * 5 + 3], grid[1, :, 1, 3])
    assert encoding.lengths.tolist() == [15, 15]
    assert encoding.mask is None
    [state] = encoding.states
    torch.testing.assert_close(state, grid.mean((2, 3)))


def test_without_training_an_image_is_read_the_same_in_any_batch() -> None:
    encoder = filled(InceptionEncoder(InceptionEncoderSpec(endpoint="MaxPool_3a_3x3")))
    x, lengths = images(3, 23, 23), torch.ones(3, dtype=torch.int64)
    noise = Noise(torch.Generator())
    with torch.no_grad():
        together = encoder(x, lengths, None, None).memory
        alone = encoder(x[1:2], lengths[1:2], None, None).memory
        torch.testing.assert_close(together[1:2], alone)
        before = encoder.network.get_submodule("Conv2d_1a_3x3").bn.running_mean.clone()
        trained = encoder(x, lengths, None, noise).memory
    assert not torch.allclose(trained, together)
    assert not torch.equal(encoder.network.get_submodule("Conv2d_1a_3x3").bn.running_mean, before)
