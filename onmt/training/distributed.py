"""Data-parallel training: start processes, communicate between them, stop them together."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import Tensor, distributed
from torch import multiprocessing as processes
from tqdm import tqdm

from onmt.errors import OnmtError, OptionError
from onmt.runtime.processes import end_with_parent
from onmt.signals import (
    SignalHandler,
    Stopped,
    blocked_signals,
    describe_signal,
    handling_signals,
    ignore_signals,
    unblock_signals,
)


class Interrupted(OnmtError):  # noqa: N818 - not an error: the user asked to stop
    """A signal stopped the training after it saved; the exit code is the one that shells expect."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


_Value = TypeVar("_Value")


class Replicas:
    """Communication between the replicas of a training. This class is that of a single process."""

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    def sum_gradients(self, gradients: list[Tensor], divisor: int, loss: Tensor) -> float | Tensor:
        """Sum the gradients of all replicas in place; return the total of their divisors.

        loss: this replica's, 0-dim. With several replicas the total is NaN if a loss is not finite.
        """
        return float(divisor)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all replicas."""
        return values

    def maximum(self, value: int) -> int:
        """Return the largest value of all replicas."""
        return value

    def broadcast(self, value: _Value) -> _Value:
        """Return the first replica's value."""
        return value

    def all_gather(self, value: _Value) -> list[_Value]:
        """Return the values of all replicas."""
        return [value]


class _DistributedReplicas(Replicas):
    """The processes of an initialised `torch.distributed` group."""

    def __init__(self, device: torch.device) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()
        self._device = device
        # All-reduce host-side numbers separately from gradients, so the host doesn't wait for the GPU.
        self._control = distributed.new_group(backend="gloo")

    def sum_gradients(self, gradients: list[Tensor], divisor: int, loss: Tensor) -> float | Tensor:
        """See `Replicas.sum_gradients`; a single all-reduce carries count and gradients."""
        count = torch.full((1,), float(divisor), dtype=gradients[0].dtype, device=self._device)
        count += 0 * loss.to(count.dtype)  # NaN unless the loss is finite
        message = torch.cat([count, *(gradient.reshape(-1) for gradient in gradients)])
        distributed.all_reduce(message)
        parts = message[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return message[0]

    def sum(self, values: Tensor) -> Tensor:
        """See `Replicas.sum`."""
        values = values.cpu()
        distributed.all_reduce(values, group=self._control)
        return values

    def maximum(self, value: int) -> int:
        """See `Replicas.maximum`."""
        holder = torch.tensor([value])
        distributed.all_reduce(holder, op=distributed.ReduceOp.MAX, group=self._control)
        return int(holder)

    def broadcast(self, value: _Value) -> _Value:
        """See `Replicas.broadcast`."""
        holder = [value]
        distributed.broadcast_object_list(holder, src=0, group=self._control)
        return holder[0]

    def all_gather(self, value: _Value) -> list[_Value]:
        """See `Replicas.all_gather`."""
        values = [value] * self.size
        distributed.all_gather_object(values, value, group=self._control)
        return values


_TIMEOUT: Final = timedelta(days=1)  # the first replica validates and saves while the others wait
_POLL: Final = 0.2  # seconds between two checks for a signal
_SAVE_GRACE: Final = 60.0  # seconds that a replica has to save after its parent process has died

_Work = Callable[[_DistributedReplicas, torch.device], None]
"""The work of each process, given its replica and device; it must be picklable."""


@dataclass(frozen=True)
class _Report:
    """How a replica ended. others_follow: all replicas have agreed to stop, so none needs to be killed."""

    message: str
    exit_code: int
    others_follow: bool = False


class _ReplicaError(OnmtError):
    """The failure of a replica, raised in the parent process."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class _Rendezvous:
    """How the processes find each other. parent: the process id whose end they follow (0: none)."""

    devices: tuple[torch.device, ...]
    place: str
    use_nccl: bool
    parent: int = 0

    def join(self, rank: int, size: int) -> _DistributedReplicas:
        """Join the process group as this rank; return when all processes have joined."""
        device = self.devices[rank % len(self.devices)]
        if device.type == "cuda":
            torch.cuda.set_device(device)
        else:
            torch.set_num_threads(max(1, torch.get_num_threads() // size))
        nccl = self.use_nccl and device.type == "cuda" and distributed.is_nccl_available()
        distributed.init_process_group(
            "nccl" if nccl else "gloo",
            init_method=self.place,
            rank=rank,
            world_size=size,
            timeout=_TIMEOUT,
        )
        return _DistributedReplicas(device)


@dataclass(frozen=True)
class Torchrun:
    """The rank of this process, which torchrun started, and the number of processes."""

    rank: int
    size: int

    @classmethod
    def found(cls, environment: Mapping[str, str]) -> "Torchrun | None":
        """Read them from the environment of this process; None unless torchrun started several."""
        if int(environment.get("WORLD_SIZE", "1")) < 2 or "RANK" not in environment:
            return None
        return cls(int(environment["RANK"]), int(environment["WORLD_SIZE"]))

    def run(self, work: _Work, devices: tuple[torch.device, ...], use_nccl: bool) -> None:
        """Do the work as this replica.

        Raises OptionError where torchrun started more processes on this machine than there are GPUs for them.
        """
        local = int(os.environ.get("LOCAL_RANK", self.rank))
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        if devices[0].type == "cuda" and here > len(devices):
            raise OptionError(
                f"torchrun started {here} processes on this machine, but -gpuid names {len(devices)}: name "
                "one GPU per process, or start torchrun with a smaller --nproc-per-node"
            )
        device = devices[local % len(devices)]
        replicas = _Rendezvous((device,), "env://", use_nccl).join(self.rank, self.size)
        try:
            work(replicas, device)
        finally:
            distributed.destroy_process_group()


def run_in_processes(work: _Work, devices: tuple[torch.device, ...], use_nccl: bool) -> None:
    """Do the work in one process per device, and wait for all of them.

    Signals are passed on. Raises _ReplicaError if a replica fails, after killing the others.
    """
    with (
        tempfile.TemporaryDirectory(prefix="onmt-") as folder,
        handling_signals() as handler,
        handler.holding(),
    ):
        meeting = _Rendezvous(devices, f"file://{folder}/meeting", use_nccl, os.getpid())
        running: dict[Connection, BaseProcess] = {}
        try:
            _start(work, meeting, running)
            _watch(running, handler)
        except BaseException:
            for process in running.values():
                process.kill()  # others may wait for the one that failed
            raise
        finally:
            for process in running.values():
                process.join()


def _start(work: _Work, meeting: _Rendezvous, running: dict[Connection, BaseProcess]) -> None:
    """Start a process per device; signals stay blocked in each until `_work` can handle them."""
    context = processes.get_context("spawn")
    with blocked_signals():
        resource_tracker.ensure_running()  # starting it unblocks signals
    with blocked_signals():
        for rank in range(len(meeting.devices)):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_replica, args=(work, meeting, rank, sender))
            process.start()
            sender.close()
            running[receiver] = process


def _watch(running: dict[Connection, BaseProcess], handler: SignalHandler) -> None:
    """Wait until all processes have ended, or until one fails."""
    forwarded = False
    waiting = set(running)
    stopped: _Report | None = None
    while waiting:
        if handler.received is not None and not forwarded:
            forwarded = True
            for process in running.values():
                assert process.pid is not None
                with suppress(ProcessLookupError):
                    os.kill(process.pid, handler.received)
        for connection in wait(waiting, timeout=_POLL):
            assert isinstance(connection, Connection)
            waiting.discard(connection)
            try:
                report: _Report | None = connection.recv()
            except EOFError:
                report = _Report("a training process died: see its output above", 1)
            if report is None:
                continue
            if not report.others_follow:
                raise _ReplicaError(report.message, report.exit_code)
            stopped = report
    if stopped is not None:
        raise _ReplicaError(stopped.message, stopped.exit_code)


def _replica(work: _Work, meeting: _Rendezvous, rank: int, sender: Connection) -> None:
    """Run a replica's process, and send the parent a report; None if the work was completed."""
    # In its own process group it does not receive the terminal's Ctrl-C, which the parent passes on instead.
    os.setpgrp()
    # tqdm's default lock is a semaphore between processes, which would outlive a killed process.
    tqdm.set_lock(threading.RLock())
    with handling_signals() as handler:
        report = _work(work, meeting, rank, handler)
        if os.getppid() != meeting.parent:
            shutil.rmtree(Path(meeting.place.removeprefix("file://")).parent, ignore_errors=True)
        with handler.holding(), suppress(OSError):  # the parent may be gone
            sender.send(report)
            if report is not None:
                # Wait for the parent to stop the other replicas; otherwise each would report its own error.
                time.sleep(_TIMEOUT.total_seconds())
        ignore_signals()


def _work(work: _Work, meeting: _Rendezvous, rank: int, handler: SignalHandler) -> _Report | None:
    """Do the work; return the reason for an early end, None if there was none."""
    try:
        with handler.holding(False):
            unblock_signals()
            # If the parent dies, nobody else stops this process: it saves and stops by itself.
            end_with_parent(meeting.parent, partial(os.kill, os.getpid(), signal.SIGTERM), _SAVE_GRACE)
            replicas = meeting.join(rank, len(meeting.devices))
            work(replicas, meeting.devices[rank])
            distributed.destroy_process_group()
    except Interrupted as error:
        return _Report(str(error), error.exit_code, others_follow=True)
    except OnmtError as error:
        return _Report(str(error), error.exit_code)
    except Stopped as error:
        return _Report(describe_signal(error.number), 128 + error.number)
    return None
