"""Training steps and searches on a real GPU; a sync in a step is an error. See `make test-gpu`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from configurations import Configuration, training_configurations
from measuring import CPU, GPU, STEPS, Found, host_of, make_step, search_on_cpu
from searches import SearchCase, search_cases

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU"),
]


@contextlib.contextmanager
def forbidding_syncs() -> Iterator[None]:
    """Let torch raise an error where the host waits for the device."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "configuration", [pytest.param(one, id=one.name) for one in training_configurations()]
)
def test_a_step_waits_for_nothing_and_equals_the_cpus(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The devices draw different numbers from the same seed, so dropout is off and every coin is 0.6.
    monkeypatch.setattr("onmt.modules.noise.Noise.dropout_mask", lambda *_: None)
    monkeypatch.setattr(
        "onmt.modules.noise.Noise.uniform", lambda _, shape, device: torch.full(shape, 0.6, device=device)
    )
    trainers = [make_step(configuration, device) for device in (CPU, GPU)]
    for trainer in trainers:
        batch = configuration.batch().to(trainer._device)
        trainer.step([batch], 1, 1)
        with forbidding_syncs() if trainer._device == GPU else contextlib.nullcontext():
            for iteration in range(2, STEPS + 1):
                trainer.step([batch], 1, iteration)
    tolerance = 1e-4 if configuration.products is None else 1e-2
    ours, theirs = (dict(trainer.model.named_parameters()) for trainer in trainers)
    for name, values in ours.items():
        torch.testing.assert_close(
            host_of(theirs[name]).cpu(), values.detach(), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in search_cases()])
def test_a_search_finds_what_the_cpu_finds(case: SearchCase, tmp_path: Path) -> None:
    found, expected = Found.of(*case.run(GPU, tmp_path)), search_on_cpu(case)
    assert [one[0] for one in found.hypotheses] == [one[0] for one in expected.hypotheses]
    np.testing.assert_allclose(
        [one[2] for one in found.hypotheses], [one[2] for one in expected.hypotheses], rtol=1e-4, atol=1e-4
    )
