"""Where and in what precision to compute. No torch here."""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import option
from onmt.commandline.validators import at_least
from onmt.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Device"""

    gpuid: tuple[int, ...] = option(
        (0,),
        "Number of the GPU to use, counted from 1; 0 computes on the CPU. Training can use several: 1 2 3.",
        valid=at_least(0),
    )
    fallback_to_cpu: bool = option(
        False, "Compute on the CPU when the GPU of -gpuid cannot be used, instead of stopping."
    )
    precision: Literal["fp32", "bf16"] = option(
        "fp32",
        "Number format of the factors of matrix products. `bf16` lets the processor round them to bfloat16 "
        "wherever it is faster so; sums, parameters and everything else keep 32 bits.",
    )
    fp16: bool = option(
        False,
        "The original's name for less precise products on a GPU: the same as -precision bf16, which the CPU "
        "can do as well.",
    )
    no_nccl: bool = option(
        False, "With several GPUs, exchange gradients through gloo instead of through NVIDIA's NCCL."
    )

    @property
    def wants_gpu(self) -> bool:
        """Some GPU is asked for."""
        return self.gpuid != (0,)

    @property
    def allows_bfloat16(self) -> bool:
        """Factors of matrix products may be rounded."""
        return self.fp16 or self.precision == "bf16"

    def check(self) -> None:
        """The CPU cannot stand in a list of GPUs, nor compute in fp16."""
        if not self.gpuid:
            raise OptionError("invalid argument for option -gpuid: the argument must not be empty")
        if self.wants_gpu and (0 in self.gpuid or len(set(self.gpuid)) < len(self.gpuid)):
            raise OptionError(
                "invalid argument for option -gpuid: give 0 alone for the CPU, or each GPU once, from 1 on"
            )
        if self.fp16 and not self.wants_gpu:
            raise OptionError(
                "invalid dependency for option -fp16: the CPU cannot compute in it; use -precision bf16, or "
                "choose a GPU with -gpuid"
            )
