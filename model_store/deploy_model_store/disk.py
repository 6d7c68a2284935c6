"""Writing so that a reader, a crash or a full disk never sees half of it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from filelock import FileLock, Timeout

from deploy_core.errors import UnavailableError

LOCK_SECONDS = 60.0  # a lock is held for a rename or a small file, never for as long as an export


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn the operating system's refusals below `root` into UnavailableError."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"the store {root} cannot be written: {error}",
            hint="look at its permissions and free space, or choose another with --store or $DEPLOY_STORE",
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` against other threads and processes. Raises UnavailableError after a minute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout as error:
        raise UnavailableError(
            f"{path} has been locked by another process for {LOCK_SECONDS:.0f} s", hint="end that process, then retry"
        ) from error
    try:
        yield
    finally:
        lock.release()


def flush(path: Path) -> None:
    """Have the file or folder reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Have every file and folder below `folder`, and itself, reach the disk; files become 0444, folders 0755."""
    for here, _, files in os.walk(folder, topdown=False):
        for name in files:
            file = Path(here) / name
            if file.stat().st_mode & 0o777 != 0o444:  # a hard link may belong to another user
                file.chmod(0o444)
            flush(file)
        Path(here).chmod(0o755)
        flush(Path(here))


def replace_text(path: Path, text: str | bytes) -> None:
    """Write a small file in one step: its readers see the old text or the new; bytes are written as they are."""
    descriptor, draft = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    flush(path.parent)


def link_tree(source: Path, target: Path) -> None:
    """Hard-link a file, or every file below a folder, to `target`; copy where the filesystem has no such link."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for child in sorted(source.iterdir()):
            link_tree(child, target / child.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copyfile(source, target)
