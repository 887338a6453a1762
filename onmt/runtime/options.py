"""Options of device and precision. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import at_least, option
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
    precision: Literal["fp32", "tf32", "bf16"] = option(
        "fp32",
        "Number format of the factors of matrix products. With `bf16` products are computed from bfloat16 "
        "copies of weights and inputs, which is faster on processors and GPUs made for it; parameters, sums, "
        "softmax and cell states keep 32 bits. On a CPU without such instructions fp32 is used, with a "
        "warning. `tf32` lets a GPU round the factors to 10 bits and needs no copies; on a CPU it is fp32.",
    )
    fp16: bool = option(
        False,
        "On a GPU: the factors of matrix products are 16-bit floats, and training scales the loss so that "
        "small gradients survive. The CPU cannot do it: use -precision bf16 there.",
    )
    deterministic: bool = option(
        False,
        "On a GPU: choose kernels that give the same numbers in every run, which are slower. The CPU always "
        "does.",
    )
    no_nccl: bool = option(
        False, "With several GPUs, exchange gradients through gloo instead of through NVIDIA's NCCL."
    )

    @property
    def wants_gpu(self) -> bool:
        """Whether a GPU is requested."""
        return self.gpuid != (0,)

    @property
    def factors(self) -> Literal["float16", "bfloat16"] | None:
        """The dtype, by its name in torch, of the factors of matrix products; None: 32 bits."""
        if self.fp16:
            return "float16"
        return "bfloat16" if self.precision == "bf16" else None

    def check(self) -> None:
        """Refuse an empty `-gpuid`, the CPU in a list of GPUs, a repeated GPU, and fp16 on the CPU."""
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
