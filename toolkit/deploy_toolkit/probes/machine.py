"""The machine itself: ports, memory, disk, and the folders that we work in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from deploy_core import state, usage
from deploy_core.errors import UnavailableError
from deploy_model_store import Store
from deploy_servers import runs
from deploy_servers.ports import require_free
from deploy_servers.runs import LEFT_OVER
from deploy_toolkit.probes.finding import MISSING, OK, WARNING, Finding

_LITTLE = 1 << 30
_LITTLE_SHM = 64 << 20
_MEMINFO, _SHM, _CGROUP = Path("/proc/meminfo"), Path("/dev/shm"), Path("/sys/fs/cgroup")


def ports(wanted: Iterable[int]) -> Finding:
    """Tell which of the ports that servers usually have are taken; ours take free ones unless told."""
    taken = [port for port in wanted if not _is_free(port)]
    if not taken:
        return Finding(OK, f"free: {', '.join(map(str, wanted))}", facts={"taken": []})
    told = f"taken: {', '.join(map(str, taken))}"
    hint = (
        f"`ss -ltnp 'sport = :{taken[0]}'` shows who holds it; without --http-port and --grpc-port free ones are taken"
    )
    return Finding(WARNING, told, hint, {"taken": taken})


def memory() -> Finding:
    """Tell how much memory is left, and how many processors there are."""
    whole, free = usage.machine_memory(), _free_memory()
    told = f"{_gib(free)} of {_gib(whole)} free, {os.cpu_count()} processors"
    facts = {"bytes": whole, "free_bytes": free, "processors": os.cpu_count()}
    if free < _LITTLE:
        return Finding(WARNING, told, "TorchServe takes 600 MB, a TensorFlow worker as much: end something", facts)
    return Finding(OK, told, facts=facts)


def disk(store: Path) -> Finding:
    """Tell how much room the store and the temporary folder have."""
    places = {str(path): shutil.disk_usage(_existing(path)).free for path in (store.absolute(), _temporary())}
    told = ", ".join(f"{path}: {_gib(free)} free" for path, free in places.items())
    if min(places.values()) < _LITTLE:
        return Finding(WARNING, told, "make room, or choose another --store, or TMPDIR", places)
    return Finding(OK, told, facts=places)


def shared_memory() -> Finding:
    """Tell how much of the memory that processes share is left: Triton's python backend lives there."""
    if not _SHM.is_dir():
        return Finding(OK, "this system has no /dev/shm")
    free = shutil.disk_usage(_SHM).free
    told, facts = f"{free >> 20:,} MiB free in {_SHM}", {"free_bytes": free}
    if free < _LITTLE_SHM:
        return Finding(
            WARNING, told, "remove what was left there, or give the container we are in more (--shm-size)", facts
        )
    return Finding(OK, told, facts=facts)


def state_folder() -> Finding:
    """Tell whether running servers can be recorded."""
    folder = state.folder()
    if not _is_writable(_existing(folder)):
        return Finding(MISSING, f"{folder} cannot be written", "set DEPLOY_STATE to a folder that can")
    return Finding(OK, f"{folder} can be written", facts={"path": str(folder)})


def store_folder(path: Path) -> Finding:
    """Tell which models there are to serve."""
    if not path.is_dir():
        told = f"there is no store at {path} yet"
        return Finding(WARNING, told, "deploy export SOURCE --to onnx makes it; --store DIR names another")
    names = Store(path).names()
    told = f"{len(names)} model{'' if len(names) == 1 else 's'} in {path}"
    if not _is_writable(path):
        return Finding(WARNING, f"{told}, which cannot be written", "it can be served from, not exported to")
    return Finding(OK, told, facts={"path": str(path), "models": names})


def leftovers() -> Finding:
    """Tell what runs, and what was left over of runs that were killed."""
    found, damaged = runs.listing()
    left = [run for run in found if run.state == LEFT_OVER]
    facts = {"running": len(found) - len(left), "left_over": [run.id for run in left]}
    if left:
        told = f"left over: {', '.join(map(str, left))}"
        return Finding(WARNING, told, "deploy stop --orphans ends them", facts)
    if damaged:
        more = f", and {len(damaged) - 1} others" if damaged[1:] else ""
        return Finding(WARNING, f"{damaged[0]}{more}", "`deploy ps` lists them: remove what is yours", facts)
    return Finding(OK, f"{facts['running']} servers run, nothing was left over", facts=facts)


def _is_free(port: int) -> bool:
    try:
        require_free("127.0.0.1", port)
    except UnavailableError:
        return False
    return True


def _free_memory() -> int:
    """Give the bytes that can be had without swapping, within what a container of ours may have."""
    if not _MEMINFO.is_file():
        return usage.machine_memory()
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
    free = int(lines["MemAvailable"].split()[0]) << 10
    return min(free, usage.machine_memory() - _charged()) if (_CGROUP / "memory.current").is_file() else free


def _charged() -> int:
    """Give what a container's memory is charged with, the cache of files apart: that goes when it is needed."""
    cached = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())["file"]
    return int((_CGROUP / "memory.current").read_text()) - int(cached)


def _is_writable(folder: Path) -> bool:
    # Tried, because root is told that it may write where nobody can.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
