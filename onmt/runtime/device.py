"""Selection of devices, precision and memory allocation."""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Final

import torch

from onmt.errors import OptionError
from onmt.kernels.products import Products, choose_library, multiplies_bfloat16, set_tf32
from onmt.logger import Logger
from onmt.runtime.options import DeviceOptions

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_KEPT: Final = 1 << 30  # bytes


def keep_freed_memory() -> bool:
    """Make the allocator reuse freed memory instead of returning it to the system; return whether it does.

    glibc returns large blocks (its threshold is 32 MB at most) to the system as soon as they are freed. In
    every training step, the kernel would then map, zero and unmap the largest tensors again, which takes
    about an eighth of a step's time on the CPU. Other C libraries are left unchanged.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))


def select_devices(options: DeviceOptions, logger: Logger) -> list[torch.device]:
    """Return the devices of `-gpuid`, the CPU for 0.

    Also applies TF32 and `-deterministic` to this process, chooses the library of matrix products and makes a
    single GPU CUDA's current device. Raises OptionError when a GPU does not exist, unless `-fallback_to_cpu`
    is set.
    """
    set_tf32(options.wants_gpu and (options.fp16 or options.precision != "fp32"))
    choose_library()
    keep_freed_memory()
    if not options.wants_gpu:
        return [torch.device("cpu")]
    if options.deterministic:
        _compute_deterministically()
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    missing = [number for number in options.gpuid if number > present]
    if not missing:
        devices = [torch.device("cuda", number - 1) for number in options.gpuid]
        if len(devices) == 1:  # with several, each device belongs to a process of its own
            torch.cuda.set_device(devices[0])
        return devices
    problem = f"-gpuid {missing[0]}: there {_are(present)}"
    if not options.fallback_to_cpu:
        raise OptionError(f"{problem}; use another -gpuid, -gpuid 0 (the CPU), or -fallback_to_cpu")
    logger.warning(f"{problem}; falling back to the CPU")
    return [torch.device("cpu")]


def select_device(options: DeviceOptions, logger: Logger) -> torch.device:
    """Return the first device of `-gpuid`, for programs that use only one; see `select_devices`."""
    return select_devices(options, logger)[0]


@dataclass(frozen=True)
class Place:
    """The device of a model, and how its matrix products are computed."""

    device: torch.device
    products: Products


def place_of(options: DeviceOptions, logger: Logger) -> Place:
    """Return the first device of `-gpuid` for a model whose weights don't change; see `select_devices`."""
    device = select_device(options, logger)
    return Place(device, products_of(options, device, logger, frozen=True))


def products_of(
    options: DeviceOptions, device: torch.device, logger: Logger, *, frozen: bool = False
) -> Products:
    """Return the products of a model on `device`; `frozen`: its weights will not change any more.

    On a CPU without bfloat16 instructions, logs a warning and uses float32, which is faster there.
    """
    dtype = None if options.factors is None else getattr(torch, options.factors)
    if dtype is torch.bfloat16 and device.type == "cpu" and not multiplies_bfloat16():
        logger.warning(
            "-precision bf16: this processor has no instructions for it and would be slower; "
            "computing in fp32"
        )
        dtype = None
    return Products(dtype, frozen=frozen)


def _compute_deterministically() -> None:
    """Select deterministic kernels in this process. Call it before CUDA starts: cuBLAS reads its workspace
    size then.

    For an operation without a deterministic kernel (the gradient of max pooling), torch only warns.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def _are(count: int) -> str:
    if count == 0:
        return "is no CUDA device"
    return "is only one CUDA device" if count == 1 else f"are only {count} CUDA devices"
