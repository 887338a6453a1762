"""Tensors and generators that report a GPU as their device, and the session that they belong to."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from ledger import Ledger, caller
from pretended_graphs import Recorded
from torch import Tensor

CPU = torch.device("cpu")


class WrongDeviceError(RuntimeError):
    """CUDA's error for an operation on tensors or generators of two devices."""


class _Current:
    """Holds the active session, if any; there is one at a time."""

    session: "Session | None" = None


def current() -> "Session":
    """Return the active session. Raises WrongDeviceError if there is none."""
    if _Current.session is None:
        raise WrongDeviceError("a tensor of the pretended GPU was used outside of pretended_gpu()")
    return _Current.session


class GpuTensor(Tensor):
    """A tensor that reports a GPU as its device, `place`; `host` is the CPU tensor with its values."""

    host: Tensor
    place: torch.device

    @staticmethod
    def __new__(cls, host: Tensor, place: torch.device) -> "GpuTensor":
        # In inference mode a view of a normal tensor isn't an inference tensor.
        ordinary = torch.is_inference_mode_enabled() and not host.is_inference()
        with torch.inference_mode(False) if ordinary else contextlib.nullcontext():
            made = Tensor._make_wrapper_subclass(
                cls,
                host.shape,
                strides=host.stride(),
                storage_offset=host.storage_offset(),
                dtype=host.dtype,
                layout=host.layout,
                device=host.device,
            )
        made.host, made.place = host, place
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from pretended_gpu import Dispatch  # pretended_gpu imports this module

        with Dispatch(current()):
            return func(*args, **(kwargs or {}))

    # nn.Module.to replaces parameters in place if their class has these two methods.
    def __tensor_flatten__(self) -> tuple[list[str], torch.device]:
        return ["host"], self.place

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, Tensor], place: torch.device, size: Any, stride: Any) -> Tensor:
        return GpuTensor(parts["host"], place)

    @property
    def device(self) -> torch.device:
        return self.place

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_cpu(self) -> bool:
        return False

    def get_device(self) -> int:
        return self.place.index

    def tolist(self) -> Any:
        current().ledger.add("sync", "tolist")
        return self.host.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        return f"GpuTensor({self.host!r}, {self.place})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        current().ledger.add("sync", "pickled")
        return self.host.detach().__reduce_ex__(protocol)


class GpuGenerator(torch.Generator):
    """A CPU generator that reports the device it was made for."""

    places: ClassVar[dict[int, torch.device]] = {}  # by address, as operations receive another Python object

    def __new__(cls, device: Any = "cpu") -> "GpuGenerator":
        made = super().__new__(cls, device="cpu")
        cls.places[made._cdata] = with_index(torch.device(device))
        return made

    def __init__(self, device: Any = "cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return self.places[self._cdata]

    def manual_seed(self, seed: int) -> "GpuGenerator":
        super().manual_seed(seed)
        return self


def with_index(device: torch.device) -> torch.device:
    """Return the device with an index; `cuda` means the current device of this thread."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", current().current_device)


def host_of(tensor: Tensor) -> Tensor:
    """Return a copy of a tensor's values on the CPU, for comparisons; the ledger doesn't count it."""
    return (tensor.host if isinstance(tensor, GpuTensor) else tensor).detach().clone()


class Session:
    """State that the modes share: the ledger, refused operations and pinned memory."""

    def __init__(self, devices: int) -> None:
        self.ledger = Ledger()
        self.devices = devices
        self.pinned_for: list[int] = []
        self.synchronized: list[torch.device | None] = []
        self.refused: list[str] = []
        self._pinned: dict[int, Tensor] = {}
        self.recording: list[Recorded] | None = None
        self._local = threading.local()

    @property
    def current_device(self) -> int:
        """The current device of this thread; the first unless another was set."""
        return getattr(self._local, "current_device", 0)

    @current_device.setter
    def current_device(self, number: int) -> None:
        self._local.current_device = number

    @contextlib.contextmanager
    def on_device(self, device: torch.device) -> Iterator[None]:
        """A stand-in for torch.cuda.device."""
        before, self.current_device = self.current_device, torch.device(device).index
        try:
            yield
        finally:
            self.current_device = before

    def refuse(self, what: str) -> None:
        """Note a refused operation and raise WrongDeviceError."""
        message = f"Expected all tensors to be on the same device: {what} at {caller()}"
        self.refused.append(message)
        raise WrongDeviceError(message)

    def pin(self, tensor: Tensor) -> Tensor:
        """Return a copy in pinned memory."""
        made = tensor.clone()
        self.pinned_for.append(self.current_device)
        self._pinned[made.untyped_storage().data_ptr()] = made
        return made

    def is_pinned(self, tensor: Tensor) -> bool:
        """Return whether the tensor is in pinned memory."""
        return tensor.untyped_storage().data_ptr() in self._pinned

    def uploads(self, tensor: Tensor, non_blocking: bool) -> None:
        """Record a copy to a device; it is asynchronous only from pinned memory with `non_blocking`."""
        asynchronous = non_blocking and self.is_pinned(tensor)
        self.ledger.add("pinned upload" if asynchronous else "upload", "to the device")

    # The device of the current Python call, and whether it is a backward pass.

    @property
    def calling(self) -> torch.device | None:
        return getattr(self._local, "calling", None)

    @property
    def in_autograd(self) -> bool:
        return getattr(self._local, "autograd", False)

    @contextlib.contextmanager
    def call(self, device: torch.device | None, autograd: bool = False) -> Iterator[None]:
        before = self.calling, self.in_autograd
        self._local.calling, self._local.autograd = device, autograd
        try:
            yield
        finally:
            self._local.calling, self._local.autograd = before
