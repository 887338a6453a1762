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
        "GPU to use, counted from 1; 0: the CPU. Training can use several GPUs: 1 2 3.",
        valid=at_least(0),
    )
    fallback_to_cpu: bool = option(
        False, "Use the CPU if a GPU of -gpuid is not available, instead of stopping."
    )
    precision: Literal["fp32", "tf32", "bf16"] = option(
        "fp32",
        "Number format of the operands of matrix products. `bf16`: bfloat16 copies of weights and inputs, "
        "faster on processors and GPUs with bfloat16 instructions; parameters, sums, softmax and cell "
        "states keep 32 bits. A CPU without such instructions logs a warning and computes in fp32. `tf32`: "
        "a GPU rounds the operands to 10 mantissa bits and needs no copies; a CPU computes in fp32.",
    )
    fp16: bool = option(
        False,
        "GPU only: use 16-bit floats as operands of matrix products; training scales the loss so that small "
        "gradients do not underflow. On the CPU, use -precision bf16.",
    )
    deterministic: bool = option(
        False,
        "On a GPU: choose deterministic kernels where they exist; they give the same numbers in every run, "
        "but are slower. The CPU is always deterministic.",
    )
    no_nccl: bool = option(
        False, "With several GPUs: exchange gradients through gloo instead of NVIDIA's NCCL."
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
