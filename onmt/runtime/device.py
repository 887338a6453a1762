"""From `-gpuid` to devices, and from `-precision` to how they multiply."""

import torch

from onmt.errors import OptionError
from onmt.logger import Logger
from onmt.runtime.memory import keep_freed_memory
from onmt.runtime.options import DeviceOptions


def select_devices(options: DeviceOptions, logger: Logger) -> list[torch.device]:
    """The devices that `-gpuid` names, the CPU for 0; `-precision` holds on them from now on.

    Raises OptionError when one is not there, unless `-fallback_to_cpu` was given.
    """
    torch.set_float32_matmul_precision("medium" if options.allows_bfloat16 else "highest")
    keep_freed_memory()
    if not options.wants_gpu:
        return [torch.device("cpu")]
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    missing = [number for number in options.gpuid if number > present]
    if not missing:
        return [torch.device("cuda", number - 1) for number in options.gpuid]
    problem = f"-gpuid {missing[0]}: there {_are(present)}"
    if not options.fallback_to_cpu:
        raise OptionError(f"{problem}; use another -gpuid, -gpuid 0 (the CPU), or -fallback_to_cpu")
    logger.warning(f"{problem}; falling back to the CPU")
    return [torch.device("cpu")]


def select_device(options: DeviceOptions, logger: Logger) -> torch.device:
    """The first device that `-gpuid` names, for programs that use one; see `select_devices`."""
    return select_devices(options, logger)[0]


def _are(count: int) -> str:
    if count == 0:
        return "is no CUDA device"
    return "is only one CUDA device" if count == 1 else f"are only {count} CUDA devices"
