"""What is put into the folder of a run: texts and stored files, each in one step, since a server may be watching."""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deploy_model_store.disk import link_tree, replace_text


def put_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write texts, each as a whole."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text)


def put_links(folder: Path, links: Mapping[str, Path]) -> tuple[str, ...]:
    """Put stored files and folders there, each as a whole; give the places that were empty before.

    A file takes the place of another one; a folder that is there stays, since a place belongs to one version for ever.
    """
    new = tuple(name for name in links if not (folder / name).exists())
    for name, source in links.items():
        if name in new or not (folder / name).is_dir():
            _put_link(source, folder, folder / name)
    return new


def open_to_all(folder: Path, *, but: Sequence[str] = ()) -> None:
    """Let every user read what lies there, whatever our umask is: in a container, the server is another one.

    What lies in the folders `but` is the server's own, such as its keys.
    """
    for path in (folder, *folder.rglob("*")):
        if any(path.is_relative_to(folder / name) for name in but):
            continue
        wanted = 0o555 if path.is_dir() else 0o444
        mode = path.stat().st_mode & 0o777
        if mode & wanted != wanted:  # a hard link is the store's own file, which everybody can read
            path.chmod(mode | wanted)


def remove(folder: Path) -> None:
    """Remove the folder of a run, and what its server left in shared memory under the folder's name."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in Path("/dev/shm").glob(f"{glob.escape(folder.name)}-*"):
        path.unlink(missing_ok=True)


def take_away(folder: Path, places: Iterable[str]) -> None:
    """Remove files and folders that were put there."""
    for place in places:
        path = folder / place
        if path.is_dir():
            # Out of sight first: a server that looks meanwhile finds all of it or nothing.
            path = path.rename(folder / _draft())
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _put_link(source: Path, folder: Path, target: Path) -> None:
    draft = folder / _draft()
    try:
        link_tree(source, draft)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(target)
    finally:
        # Two names of one file are not renamed but both kept, says POSIX.
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)


def _draft() -> str:
    return f".draft-{uuid.uuid4().hex[:8]}"


def put_writable(folder: Path, names: Sequence[str], owner: tuple[int, int] | None) -> None:
    """Make folders that the server writes to and nobody else looks into; they are ours unless there is an `owner`."""
    for name in names:
        path = folder / name
        path.mkdir(mode=0o700, parents=True)
        if owner:
            os.chown(path, *owner)
