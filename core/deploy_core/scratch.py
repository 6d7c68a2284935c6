"""Temporary folders that go with their process, and by the next one that makes such a folder if it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_NEW, _HELD = "deploy-new-", "deploy-scratch-"


class Scratch:
    """A temporary folder, `path`, that is removed by `close`, at the latest when its process ends.

    Its process holds a lock on it, which the kernel lets go of however that dies. So a folder whose lock can be taken
    belongs to nobody, in whatever container its owner lived, and whoever makes another one removes it.
    """

    def __init__(self) -> None:
        sweep()
        made = Path(tempfile.mkdtemp(prefix=_NEW))
        descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        self.path = _held(made, descriptor)
        self._end = weakref.finalize(self, _end, self.path, descriptor)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder; may be called twice."""
        self._end()


def sweep() -> tuple[Path, ...]:
    """Remove the folders of processes that were killed; give them."""
    return tuple(path for path in sorted(Path(tempfile.gettempdir()).glob(f"{_HELD}*")) if _swept(path))


def _held(made: Path, descriptor: int) -> Path:
    """Lock a folder, and only then give it the name that a sweep looks for."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a filesystem without locks: under its first name nobody sweeps it
        return made
    return made.rename(made.with_name(made.name.replace(_NEW, _HELD, 1)))


def _swept(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # it has just gone, is a link, or is another user's
        return False
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    except OSError:  # its process lives, or nobody can tell
        return False
    finally:
        os.close(descriptor)


def _end(path: Path, descriptor: int) -> None:
    # Removed before it is let go of: nobody else comes between.
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
    os.close(descriptor)
