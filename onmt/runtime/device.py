"""Choose the device, its precision and its memory limits."""

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

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_KEPT: Final = 1 << 30  # bytes


def keep_freed_memory() -> bool:
    """Let freed tensors' memory be used again instead of going back to the system; says whether that worked.

    glibc gives blocks over 32 MB at most back as soon as they are free, so every training step would have its
    largest tensors mapped, zeroed and unmapped by the kernel again: about an eighth of the time of a step on
    the CPU. Other C libraries are left as they are.
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
    """The devices that `-gpuid` names, the CPU for 0; `-precision` and `-deterministic` hold on them from now
    on, and the first one is the current device of CUDA.

    Raises OptionError when one is not there, unless `-fallback_to_cpu` was given.
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
        if len(devices) == 1:  # of several, each belongs to a process of its own
            torch.cuda.set_device(devices[0])
        return devices
    problem = f"-gpuid {missing[0]}: there {_are(present)}"
    if not options.fallback_to_cpu:
        raise OptionError(f"{problem}; use another -gpuid, -gpuid 0 (the CPU), or -fallback_to_cpu")
    logger.warning(f"{problem}; falling back to the CPU")
    return [torch.device("cpu")]


def select_device(options: DeviceOptions, logger: Logger) -> torch.device:
    """The first device that `-gpuid` names, for programs that use one; see `select_devices`."""
    return select_devices(options, logger)[0]


@dataclass(frozen=True)
class Place:
    """The device of a model, and its products."""

    device: torch.device
    products: Products


def place_of(options: DeviceOptions, logger: Logger) -> Place:
    """The first device that `-gpuid` names, for a model whose weights do not change; see `select_devices`."""
    device = select_device(options, logger)
    return Place(device, products_of(options, device, logger, frozen=True))


def products_of(
    options: DeviceOptions, device: torch.device, logger: Logger, *, frozen: bool = False
) -> Products:
    """The products of a model on `device`; `frozen`: its weights will not change any more.

    Where bfloat16 would be slower than float32, a warning says that float32 is used.
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
    """For this process; before CUDA starts, since cuBLAS reads its workspace's size then.

    An operation without such a kernel (max pooling's gradient) makes torch warn, not end the program.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def _are(count: int) -> str:
    if count == 0:
        return "is no CUDA device"
    return "is only one CUDA device" if count == 1 else f"are only {count} CUDA devices"
