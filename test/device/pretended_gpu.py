"""A GPU for tests on machines that have none.

Inside `pretended_gpu()` torch finds CUDA devices. Their tensors hold numbers of the CPU, so results can be
compared with the CPU's and code that depends on data takes the branch it would take; but they say that they
are on `cuda:0`, and what CUDA would refuse is refused: tensors or generators of two devices in one operation,
numpy views, states that cuDNN finds strided. A `Ledger` counts launches, syncs and uploads.

To torch's C++ side the tensors are CPU tensors, since autograd needs no thread per device then; only Python
sees the device. A dispatch mode handles every operation, a function mode the calls whose C++ side asks for
the device.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import torch
from device_operations import STAND_INS, run_recurrent
from ledger import Ledger, caller
from pretended_graphs import CaptureError, PretendedGraph, Recorded, capturing
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

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


_FACTORIES = frozenset(
    f"aten::{name}"
    for name in (
        "arange zeros ones full empty scalar_tensor eye rand randn randint empty_strided tril_indices"
    ).split()
)
_WITHOUT_KERNEL = frozenset(
    f"aten::{name}"
    for name in (
        "empty empty_like new_empty empty_strided new_empty_strided detach lift_fresh _local_scalar_dense "
        "resize_ set_ _reshape_alias is_same_size sym_size result_type"
    ).split()
)
_KERNELS = {  # of operations that start several: lower bounds
    "aten::masked_fill": 2,
    "aten::index_put": 2,
    "aten::scatter": 2,
    "aten::index_add": 2,
    "aten::scatter_add": 2,
    "aten::embedding_dense_backward": 6,
    "aten::sort": 3,
    "aten::topk": 2,
    "aten::nonzero": 3,
    "aten::_unique2": 8,
    "aten::_index_put_impl_": 5,
    "aten::constant_pad_nd": 2,
    "aten::slice_backward": 2,
    "aten::select_backward": 2,
}
_SYNCING = frozenset(
    f"aten::{name}"
    for name in (
        "_local_scalar_dense nonzero _unique2 unique_dim unique_consecutive masked_select bincount equal "
        "is_nonzero"
    ).split()
)
_INDEXING = frozenset(f"aten::{name}" for name in "index index_put_ _index_put_impl_ index_put".split())


class Dispatch(TorchDispatchMode):
    """Every operation: counts it, checks its devices, computes it from the numbers on the host."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name
        leaves, _ = tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        device = self._device_of_result(name, kwargs, tensors)
        if device is None:
            result = func(*args, **kwargs)
            self._record(func, args, kwargs, result)
            return result
        self._check(func, name, args, kwargs, tensors)
        known = {id(tensor.host): tensor for tensor in tensors if isinstance(tensor, GpuTensor)}
        host_args, host_kwargs = tree_map(
            lambda leaf: leaf.host if isinstance(leaf, GpuTensor) else leaf, (tuple(args), kwargs)
        )
        if host_kwargs.get("device") is not None:
            host_kwargs["device"] = CPU
        result = STAND_INS.get(name, func)(*host_args, **host_kwargs)
        self._record(func, host_args, host_kwargs, result)
        if device.type == "cpu":
            return result
        if name == "aten::copy_" and not isinstance(args[0], GpuTensor):
            return args[0]
        return tree_map(
            lambda leaf: (
                known[id(leaf)]
                if id(leaf) in known
                else GpuTensor(leaf, device)
                if isinstance(leaf, Tensor)
                else leaf
            ),
            result,
        )

    def _record(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        if self._session.recording is not None:
            stand_in = STAND_INS.get(func._schema.name)
            self._session.recording.append(Recorded(func, args, kwargs, result, stand_in))

    def _device_of_result(self, name: str, kwargs: Any, tensors: list[Tensor]) -> torch.device | None:
        """Where the result lies; None: the operation has nothing to do with a GPU."""
        wanted = kwargs.get("device")
        ours = next((tensor.device for tensor in tensors if isinstance(tensor, GpuTensor)), None)
        if wanted is not None and torch.device(wanted).type == "cuda":
            return with_index(torch.device(wanted))
        if ours is not None:
            return CPU if name == "aten::_to_copy" and wanted is not None else ours
        if not tensors and name in _FACTORIES and (wanted is None or self._session.in_autograd):
            return self._session.calling  # made inside a composite operation on a GPU
        return None

    def _check(self, func: Any, name: str, args: Any, kwargs: Any, tensors: list[Tensor]) -> None:
        session, ledger = self._session, self._session.ledger
        ours = [tensor for tensor in tensors if isinstance(tensor, GpuTensor)]
        host = [tensor for tensor in tensors if not isinstance(tensor, GpuTensor)]
        if len({tensor.place for tensor in ours}) > 1 and name != "aten::copy_":
            session.refuse(f"{name} of tensors of two GPUs")
        generator = kwargs.get("generator")
        if generator is not None and GpuGenerator.places.get(generator._cdata, CPU).type != "cuda":
            session.refuse(f"{name} with a generator of the CPU")
        if name in ("aten::_to_copy", "aten::copy_") and self._copies(name, args, kwargs, ours, host):
            return
        if host and ours:
            self._check_host_operands(func, name, tensors, host)
        if _waits(func, name, args, kwargs):
            ledger.add("sync", name)
        if not _starts_nothing(func, name):
            ledger.add("launch", name, _KERNELS.get(name, 1))

    def _copies(self, name: str, args: Any, kwargs: Any, ours: list[Any], host: list[Tensor]) -> bool:
        """Record a copy between host and device; False: it is a copy within the device."""
        session = self._session
        non_blocking = bool(
            kwargs.get("non_blocking") or (name == "aten::copy_" and len(args) > 2 and args[2])
        )
        if name == "aten::_to_copy":
            wanted = kwargs.get("device")
            if wanted is None or (ours and torch.device(wanted).type == "cuda"):
                return False
            if ours:
                session.ledger.add("sync", "to the CPU")
            else:
                session.uploads(host[0], non_blocking)
            return True
        if not ours or not host:
            return False
        if isinstance(args[0], GpuTensor):
            session.uploads(host[0], non_blocking)
        else:
            session.ledger.add("sync", "copied to the CPU")
        return True

    def _check_host_operands(self, func: Any, name: str, tensors: list[Tensor], host: list[Tensor]) -> None:
        """CUDA takes numbers of the host only as 0-dim operands of pointwise kernels, and uploads indices."""
        if name in _INDEXING:
            self._session.ledger.add("upload", f"{name} with an index or value of the host")
        elif name not in ("aten::fill_", "aten::fill") and not (
            all(tensor.dim() == 0 for tensor in host) and torch.Tag.pointwise in func.tags
        ):
            shapes = ", ".join(f"{tensor.device}{tuple(tensor.shape)}" for tensor in tensors)
            self._session.refuse(f"{name}({shapes})")


def _waits(func: Any, name: str, args: Any, kwargs: Any) -> bool:
    if name in _SYNCING:
        return True
    if name == "aten::repeat_interleave":
        return func._overloadname == "Tensor" and kwargs.get("output_size") is None
    if name in _INDEXING:
        masked = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
        return masked and (name == "aten::index" or len(args) < 3 or args[2].numel() != 1)
    return False


_quiet: dict[Any, bool] = {}


def _starts_nothing(func: Any, name: str) -> bool:
    """Views, whose results alias an input that is not written, and bare allocations."""
    if func not in _quiet:
        aliases = [result.alias_info for result in func._schema.returns]
        view = any(alias is not None and not alias.is_write for alias in aliases)
        _quiet[func] = view or name in _WITHOUT_KERNEL
    return _quiet[func]


class _Moved(torch.autograd.Function):
    """A copy on another device; its gradient comes back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, device: torch.device) -> Tensor:
        ctx.source = tensor.device
        numbers = host_of(tensor)
        return numbers if device.type == "cpu" else GpuTensor(numbers, device)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        numbers = host_of(grad)
        return (numbers if ctx.source.type == "cpu" else GpuTensor(numbers, ctx.source)), None


def moved(tensor: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
    """The tensor on a device, as Tensor.to."""
    device = with_index(device)
    if device == tensor.device:
        return tensor
    if isinstance(tensor, GpuTensor):
        current().ledger.add(*(("sync", "to the CPU") if device.type == "cpu" else ("launch", "copy")))
    else:
        current().uploads(tensor, non_blocking)
    made: Tensor = _Moved.apply(tensor, device)
    return made


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Tensor.to, whose C++ side would see no two devices."""
    given = dict(kwargs)
    for arg in args:
        if isinstance(arg, Tensor):
            given |= {"device": arg.device, "dtype": arg.dtype}
        elif isinstance(arg, bool):
            given["copy" if "non_blocking" in given else "non_blocking"] = arg
        elif isinstance(arg, torch.dtype):
            given["dtype"] = arg
        elif arg is not None:
            given["device"] = arg
    result = tensor
    if given.get("device") is not None:
        result = moved(tensor, torch.device(given["device"]), bool(given.get("non_blocking")))
    dtype = given.get("dtype")
    if dtype is not None and dtype != result.dtype:
        return torch.ops.aten._to_copy(result, dtype=dtype)
    return result.clone() if given.get("copy") and result is tensor else result


class Calls(TorchFunctionMode):
    """Python calls: knows which device a composite operation is about, and answers what C++ cannot."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        answer = self._special(func, args, kwargs)
        if answer is not None:
            return answer()
        ours = next((arg.place for arg in args if isinstance(arg, GpuTensor)), None)
        with self._session.call(ours):
            return func(*args, **kwargs)

    def _special(self, func: Any, args: Any, kwargs: Any) -> Callable[[], Any] | None:
        first = args[0] if args else None
        if func in (torch.lstm, torch.gru) and isinstance(first, GpuTensor):
            return lambda: self._recurrent(func, args)
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            rest = {name: value for name, value in kwargs.items() if name != "device"}
            return lambda: moved(func(*args, **rest), torch.device(kwargs["device"]))
        if func is Tensor.to:
            return lambda: _to(*args, **kwargs)
        if func is Tensor.cpu:
            return lambda: moved(first, CPU)
        if func is Tensor.cuda:
            return lambda: moved(first, torch.device("cuda"), kwargs.get("non_blocking", False))
        if func is Tensor.pin_memory:
            return lambda: self._session.pin(first)
        if func is Tensor.is_pinned:
            return lambda: self._session.is_pinned(first)
        if func is Tensor.backward and isinstance(first, GpuTensor):
            return lambda: self._backward(first, kwargs)
        return None

    def _recurrent(self, func: Any, args: Any) -> Any:
        if self._session.recording is not None:
            raise CaptureError("the stand-in of a recurrent layer cannot be captured")

        def build(host: Tensor) -> Tensor:
            return GpuTensor(host, args[0].place)

        leaves, _ = tree_flatten(args)
        packed = (
            isinstance(args[1], Tensor) and func in (torch.lstm, torch.gru) and args[1].dtype == torch.int64
        )
        for leaf in leaves:
            if (
                isinstance(leaf, Tensor)
                and not isinstance(leaf, GpuTensor)
                and not (packed and leaf is args[1])
            ):
                self._session.refuse(f"{func.__name__} with a tensor of the CPU")
        return run_recurrent(func, args, build, self._session.ledger)

    def _backward(self, loss: GpuTensor, kwargs: Any) -> None:
        gradient = kwargs.get("gradient")
        gradient = torch.ones_like(loss) if gradient is None else gradient
        # The engine runs in this thread, for to C++ all tensors are the CPU's; this mode sees its calls.
        with self, self._session.call(loss.place, autograd=True):
            torch.autograd.graph._engine_run_backward(
                (loss,), (gradient,), bool(kwargs.get("retain_graph")), False, (), allow_unreachable=True,
                accumulate_grad=True,
            )  # fmt: skip


@contextlib.contextmanager
def pretended_gpu(devices: int = 1) -> Iterator[Session]:
    """Let torch find this many CUDA devices in here."""
    session, before = Session(devices), _Current.session
    _Current.session = session
    submit = ThreadPoolExecutor.submit

    def submit_with_modes(self: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        def work() -> Any:
            with session.ledger.during("thread"), Calls(session), Dispatch(session):
                return function(*args, **kwargs)

        return submit(self, work)

    def synchronize(device: torch.device | None = None) -> None:
        session.synchronized.append(device)
        session.ledger.add("sync", "torch.cuda.synchronize")

    def set_device(device: torch.device | int) -> None:
        session.current_device = device if isinstance(device, int) else torch.device(device).index

    replacements: list[tuple[Any, str, Any]] = [
        (torch.cuda, "_lazy_init", lambda: None),
        (torch.cuda, "is_available", lambda: True),
        (torch.cuda, "is_initialized", lambda: True),
        (torch.cuda, "device_count", lambda: devices),
        (torch.cuda, "get_device_name", lambda device=None: "a pretended GPU"),
        (torch.cuda, "set_device", set_device),
        (torch.cuda, "device", session.on_device),
        (torch.cuda, "device_of", lambda tensor: contextlib.nullcontext()),
        (torch.cuda, "current_device", lambda: session.current_device),
        (torch.cuda, "synchronize", synchronize),
        (torch.backends.cudnn, "is_acceptable", lambda tensor: isinstance(tensor, GpuTensor)),
        (torch, "Generator", GpuGenerator),
        (torch.cuda, "CUDAGraph", lambda: PretendedGraph(session)),
        (torch.cuda, "graph", lambda graph, **_: capturing(session, graph)),
        (torch.cuda, "graph_pool_handle", lambda: (0, 0)),
        (ThreadPoolExecutor, "submit", submit_with_modes),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    lifted = torch._C._only_lift_cpu_tensors()
    for owner, name, value in replacements:
        setattr(owner, name, value)
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with Calls(session), Dispatch(session):
            yield session
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)
        for owner, name, value in originals:
            setattr(owner, name, value)
        _Current.session = before
