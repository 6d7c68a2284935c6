"""Private folders in which a version is put together before it appears.

Each has a lock file beside it that its process holds; the kernel lets go of it when the process dies, however it dies.
So a folder whose lock can be taken belongs to nobody, in whatever container or PID namespace its owner lived.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock, Timeout

from deploy_core.errors import UnavailableError
from deploy_model_store.disk import locked, writing

STAGING = ".staging"


@contextmanager
def staging(root: Path, name: str) -> Iterator[Path]:
    """Give a new folder in the store's filesystem; it is gone afterwards unless it was published (renamed)."""
    folder, alive = _open(root, name)
    try:
        yield folder
    finally:
        try:
            _remove(folder)
        finally:
            alive.release()
            _lock_file(folder).unlink(missing_ok=True)


def sweep(area: Path) -> None:
    """Remove the folders of dead processes; the caller holds the area's lock."""
    if not area.is_dir():
        return
    for folder in sorted(p for p in area.iterdir() if p.is_dir()):
        lock = FileLock(_lock_file(folder))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue  # its process lives
        _remove(folder)
        lock.release()
    # Under the area's lock, a lock file without a folder has no owner left, or one that is just about to remove it.
    for file in area.glob("*.lock"):
        if file.name != "area.lock" and not file.with_suffix("").exists():
            file.unlink(missing_ok=True)


def _open(root: Path, name: str) -> tuple[Path, FileLock]:
    area = root / STAGING
    with writing(root), locked(area / "area.lock"):
        sweep(area)
        folder = Path(mkdtemp(prefix=f"{name}~", dir=area))
        alive = FileLock(_lock_file(folder), thread_local=False)
        try:
            alive.acquire(blocking=False)
        except Timeout as error:
            raise UnavailableError(f"{_lock_file(folder)} is held by another process", hint="try again") from error
        return folder, alive


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
