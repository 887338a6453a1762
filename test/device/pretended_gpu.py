"""A GPU for tests on machines that have none.

Inside `pretended_gpu()` torch finds CUDA devices. Their tensors wrap CPU tensors, so results can be compared
with the CPU's and data-dependent code takes the right branch. But the tensors report the device `cuda:0`, and
operations that CUDA would refuse are refused: tensors or generators of two devices in one operation, numpy
views, strided states for cuDNN. A `Ledger` counts launches, syncs and uploads.

To torch's C++ side the tensors are CPU tensors, so that autograd needs no thread per device; only Python sees
the device. A dispatch mode handles every operation, a function mode the calls whose C++ side asks for the
device.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from device_operations import STAND_INS, run_recurrent
from pretended_graphs import CaptureError, PretendedGraph, Recorded, capturing
from pretended_tensors import CPU, GpuGenerator, GpuTensor, Session, _Current, current, host_of, with_index
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

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
_KERNELS = {  # lower bounds for operations that launch several kernels
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
    """Handles every operation: checks its devices, counts it and computes it on the host."""

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
        """Return the device of the result, or None if the operation doesn't involve a GPU."""
        wanted = kwargs.get("device")
        ours = next((tensor.device for tensor in tensors if isinstance(tensor, GpuTensor)), None)
        if wanted is not None and torch.device(wanted).type == "cuda":
            return with_index(torch.device(wanted))
        if ours is not None:
            return CPU if name == "aten::_to_copy" and wanted is not None else ours
        if not tensors and name in _FACTORIES and (wanted is None or self._session.in_autograd):
            return self._session.calling  # created inside a composite operation on a GPU
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
        """Record a copy between host and device; return False for a copy within a device."""
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
        """Refuse host tensors except 0-dim operands of pointwise kernels; count indices as uploads."""
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
    """Return whether an operation launches no kernel: a view (an alias not written to) or an allocation."""
    if func not in _quiet:
        aliases = [result.alias_info for result in func._schema.returns]
        view = any(alias is not None and not alias.is_write for alias in aliases)
        _quiet[func] = view or name in _WITHOUT_KERNEL
    return _quiet[func]


class _Moved(torch.autograd.Function):
    """A copy of a tensor on another device; its gradient is copied back."""

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
    """Return the tensor on a device, as Tensor.to does."""
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
    """Replace Tensor.to, since the C++ side sees only the CPU."""
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
    """Handles Python calls: notes the device of composite operations, answers calls that C++ can't."""

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
        # Autograd runs in this thread because C++ sees only CPU tensors, so this mode sees its calls.
        with self, self._session.call(loss.place, autograd=True):
            torch.autograd.graph._engine_run_backward(
                (loss,), (gradient,), bool(kwargs.get("retain_graph")), False, (), allow_unreachable=True,
                accumulate_grad=True,
            )  # fmt: skip


@contextlib.contextmanager
def pretended_gpu(devices: int = 1) -> Iterator[Session]:
    """Let torch find `devices` CUDA devices within the context."""
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
