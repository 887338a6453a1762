import pytest

from onmt.errors import OptionError
from onmt.runtime.options import DeviceOptions


@pytest.mark.parametrize(
    "options",
    [
        DeviceOptions(),
        DeviceOptions(gpuid=(1, 2), fp16=True),
        DeviceOptions(precision="bf16"),
        DeviceOptions(gpuid=(3,), precision="bf16"),
    ],
)
def test_what_fits(options):
    options.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DeviceOptions(fp16=True), "use -precision bf16"),
        (DeviceOptions(gpuid=()), "must not be empty"),
        (DeviceOptions(gpuid=(0, 1)), "0 alone"),
        (DeviceOptions(gpuid=(2, 2)), "each GPU once"),
    ],
)
def test_what_does_not(options, message):
    with pytest.raises(OptionError, match=message):
        options.check()


def test_factors_of_products():
    assert DeviceOptions().factors is None
    assert DeviceOptions(precision="bf16").factors == "bfloat16"
    assert DeviceOptions(gpuid=(1,), fp16=True).factors == "float16"


def test_gpus_are_counted_from_1():
    assert not DeviceOptions().wants_gpu
    assert DeviceOptions(gpuid=(1,)).wants_gpu
