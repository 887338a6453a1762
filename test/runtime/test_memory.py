"""Freed memory stays allocated to the process."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import sys
from onmt.runtime.device import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    del_me = bytearray(48 << 20)
    del del_me
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""


def faults(mode: str) -> int:
    """Return the number of page faults of twenty successive allocations of 48 MiB."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_pages_are_faulted_in_once() -> None:
    assert faults("kept") * 5 < faults("given back")
