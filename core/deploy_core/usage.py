"""What processes use of the machine, and what there is. Linux only."""

from __future__ import annotations

import os
from pathlib import Path


def stat(pid: int) -> list[str]:
    """Give what /proc/PID/stat says after the name, from the state on. Raises FileNotFoundError, ProcessLookupError."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """Give the CPU seconds that a live process has used, user and system."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Give the bytes of memory that a live process has for itself, files that it has mapped apart."""
    _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def machine_memory() -> int:
    """Give the bytes of memory of this machine, or of the container that this is."""
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text().strip() if limit.exists() else "max"
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return whole if allowed == "max" else min(whole, int(allowed))
