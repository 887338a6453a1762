"""Training in several processes, one per device: started here, or by torchrun."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import Any, Final

import torch
from torch import distributed
from torch import multiprocessing as processes
from tqdm import tqdm

from onmt.errors import OnmtError, OptionError
from onmt.training.interruption import Interruption
from onmt.training.replicas import DistributedReplicas

_PATIENCE: Final = timedelta(days=1)  # the first replica validates and saves while the others wait
_POLL: Final = 0.2  # seconds between two looks at the user's wish to stop

Work = Callable[[DistributedReplicas, torch.device], None]
"""What each process does with its replica and its device; it is pickled on its way there."""


class ReplicaError(OnmtError):
    """What went wrong in another process."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Meeting:
    """How the processes find each other."""

    devices: tuple[torch.device, ...]
    place: str
    use_nccl: bool

    def join(self, rank: int, size: int) -> DistributedReplicas:
        """Become one of them; returns when all have."""
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
            timeout=_PATIENCE,
        )
        return DistributedReplicas(device)


def torchrun_rank(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """This process's rank and the number of processes, if torchrun started it."""
    if int(environment.get("WORLD_SIZE", "1")) < 2 or "RANK" not in environment:
        return None
    return int(environment["RANK"]), int(environment["WORLD_SIZE"])


def join_torchrun(
    work: Work, devices: tuple[torch.device, ...], rank: int, size: int, use_nccl: bool
) -> None:
    """Do the work as the replica that torchrun made this process.

    Raises OptionError where torchrun started more processes on this machine than there are GPUs for them.
    """
    local = int(os.environ.get("LOCAL_RANK", rank))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    if devices[0].type == "cuda" and here > len(devices):
        raise OptionError(
            f"torchrun started {here} processes on this machine, but -gpuid names {len(devices)}: name one "
            "GPU per process, or start torchrun with a smaller --nproc-per-node"
        )
    device = devices[local % len(devices)]
    replicas = Meeting((device,), "env://", use_nccl).join(rank, size)
    try:
        work(replicas, device)
    finally:
        distributed.destroy_process_group()


def run_in_processes(work: Work, devices: tuple[torch.device, ...], use_nccl: bool) -> None:
    """Do the work in one process per device, and wait for all of them.

    SIGINT and SIGTERM are passed on. Raises ReplicaError for what a replica raised, and ends the others.
    """
    with tempfile.TemporaryDirectory(prefix="onmt-") as folder, Interruption() as interruption:
        meeting = Meeting(devices, f"file://{folder}/meeting", use_nccl)
        context = processes.get_context("spawn")
        running: dict[Connection, Any] = {}
        for rank in range(len(devices)):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_replica, args=(work, meeting, rank, sender), daemon=True)
            process.start()
            sender.close()
            running[receiver] = process
        try:
            _watch(running, interruption)
        except BaseException:
            for process in running.values():
                process.kill()  # they may be waiting for the one that failed
            raise
        finally:
            for process in running.values():
                process.join()


def _watch(running: dict[Connection, Any], interruption: Interruption) -> None:
    """Wait for the end of all processes, or for the first failure."""
    told = False
    waiting = set(running)
    while waiting:
        if interruption.signal_number is not None and not told:
            told = True
            for process in running.values():
                with suppress(ProcessLookupError):
                    os.kill(process.pid, interruption.signal_number)
        for connection in wait(waiting, timeout=_POLL):
            assert isinstance(connection, Connection)
            waiting.discard(connection)
            try:
                failure = connection.recv()
            except EOFError:
                failure = ("a training process died: see its last words above", 1)
            if failure is not None:
                raise ReplicaError(*failure)


def _replica(work: Work, meeting: Meeting, rank: int, sender: Connection) -> None:
    """A process's life; it reports None, or the message and exit code of what a user caused."""
    # In a group of its own it does not hear the terminal's Ctrl-C, which the parent passes on instead.
    os.setpgrp()
    # The bars' default lock is a semaphore between processes, which would outlive a killed one.
    tqdm.set_lock(threading.RLock())
    failure: tuple[str, int] | None = None
    try:
        replicas = meeting.join(rank, len(meeting.devices))
        work(replicas, meeting.devices[rank])
        distributed.destroy_process_group()
    except OnmtError as error:
        failure = (str(error), error.exit_code)
    sender.send(failure)
    if failure is not None:
        # Let the parent end the others first: without this one they would fail, each in its own words.
        time.sleep(_PATIENCE.total_seconds())
