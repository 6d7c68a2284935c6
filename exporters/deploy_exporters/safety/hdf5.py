"""HDF5 files: links and data that lie in other files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from deploy_exporters.safety.danger import Danger, some

_INSTEAD = "write the weights again with model.save()"


def dangers(file: Path | IO[bytes]) -> Iterator[Danger]:
    """Give what of the file lies in other files, which reading it would open."""
    import h5py  # type: ignore[import-untyped]

    with h5py.File(file, "r") as opened:
        outside = [name for name, link in _links(opened) if isinstance(link, h5py.ExternalLink)]
        outside += [each.name for each in _datasets(opened) if each.external or each.is_virtual]
    if outside:
        yield Danger(f"its weights lie in other files: {some(outside)}", _INSTEAD, trustable=False)


def _links(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        yield f"{path}/{name}", link
        if isinstance(link, h5py.HardLink) and isinstance(group[name], h5py.Group):
            yield from _links(group[name], f"{path}/{name}")


def _datasets(opened: Any) -> list[Any]:
    import h5py

    found: list[Any] = []
    opened.visititems(lambda _, each: found.append(each) if isinstance(each, h5py.Dataset) else None)
    return found
