"""onmt/runtime/random.py"""

import torch

from onmt.runtime.random import numpy_generator, seed_for, torch_generator


def test_each_argument_matters_and_its_place_too() -> None:
    seeds = [
        seed_for(1, "a"),
        seed_for(2, "a"),
        seed_for(1, "b"),
        seed_for(1, "a", 1),
        seed_for(1, "a", 1, 2),
        seed_for(1, "a", 12),
        seed_for(11, "a", 2),
        seed_for(1, "a", 2, 1),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_are_the_same_in_every_version() -> None:
    assert seed_for(3425, "shuffle") == 6247641169991152469


def test_generators_repeat_their_numbers() -> None:
    assert numpy_generator(1, "x", 3).integers(0, 1000, 5).tolist() == [
        int(number) for number in numpy_generator(1, "x", 3).integers(0, 1000, 5)
    ]
    first = torch.rand(4, generator=torch_generator(1, "x", 3))
    assert torch.equal(first, torch.rand(4, generator=torch_generator(1, "x", 3)))
    assert not torch.equal(first, torch.rand(4, generator=torch_generator(1, "x", 4)))
