"""Tensors and generators that say they are on a GPU, and the session that they belong to."""

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
    """CUDA's refusal to compute with tensors or generators of two devices."""


class _Current:
    """The session that is on, if any; there is one at a time."""

    session: "Session | None" = None


def current() -> "Session":
    """The session that is on."""
    if _Current.session is None:
        raise WrongDeviceError("a tensor of the pretended GPU was used outside of pretended_gpu()")
    return _Current.session


class GpuTensor(Tensor):
    """A tensor that says it is on a GPU. `host` holds its numbers; `place` is its device."""

    host: Tensor
    place: torch.device

    @staticmethod
    def __new__(cls, host: Tensor, place: torch.device) -> "GpuTensor":
        # A view of an ordinary tensor stays an ordinary one in inference mode.
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
        from pretended_gpu import Dispatch  # it knows the tensors

        with Dispatch(current()):
            return func(*args, **(kwargs or {}))

    # nn.Module.to replaces parameters of a subclass in place if it has these two.
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
    """A generator of the CPU that knows the device it was made for."""

    places: ClassVar[dict[int, torch.device]] = {}  # by address: operations receive another Python object

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
    """`cuda` is the current device, here always the first unless a session set another."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", current().current_device)


def host_of(tensor: Tensor) -> Tensor:
    """The numbers of a tensor of any device, for comparisons in tests; counts as nothing."""
    return (tensor.host if isinstance(tensor, GpuTensor) else tensor).detach().clone()


class Session:
    """What the modes share: the ledger, the refusals, and the memory of what is pinned."""

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
        """This thread's, the first one unless it chose another."""
        return getattr(self._local, "current_device", 0)

    @current_device.setter
    def current_device(self, number: int) -> None:
        self._local.current_device = number

    @contextlib.contextmanager
    def on_device(self, device: torch.device) -> Iterator[None]:
        """torch.cuda.device."""
        before, self.current_device = self.current_device, torch.device(device).index
        try:
            yield
        finally:
            self.current_device = before

    def refuse(self, what: str) -> None:
        """Raise what CUDA would raise."""
        message = f"Expected all tensors to be on the same device: {what} at {caller()}"
        self.refused.append(message)
        raise WrongDeviceError(message)

    def pin(self, tensor: Tensor) -> Tensor:
        """A copy in page-locked memory."""
        made = tensor.clone()
        self.pinned_for.append(self.current_device)
        self._pinned[made.untyped_storage().data_ptr()] = made
        return made

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether the tensor lies in page-locked memory."""
        return tensor.untyped_storage().data_ptr() in self._pinned

    def uploads(self, tensor: Tensor, non_blocking: bool) -> None:
        """Record a copy to a device."""
        asynchronous = non_blocking and self.is_pinned(tensor)
        self.ledger.add("pinned upload" if asynchronous else "upload", "to the device")

    # The device of the Python call that is being worked on, and whether autograd works on its own account.

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
