"""The files that a command writes beside what it shows: a page, test cases, figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from deploy_core.errors import UsageError


def writers(package: str, kinds: Iterable[str], given: Mapping[str, Any], **more: str) -> list[Callable[[Any], None]]:
    """Give what writes the files that are asked for: `write(report, path, **more)` of the module of each kind.

    Raises UsageError for one that cannot be written, and for two in one place, before anything is done for them.
    """
    from deploy_toolkit.reports import writing

    found: list[Callable[[Any], None]] = []
    places: dict[Path, str] = {}
    for kind in kinds:
        if given[kind] is not None:
            _require_own_place(kind, given[kind], places)
            module = import_module(f"{package}.{kind}")
            getattr(module, "require_writable", writing.require_writable)(given[kind])
            found.append(partial(_written, module.write, given[kind], more))
    return found


def _require_own_place(kind: str, path: Path, places: dict[Path, str]) -> None:
    other = places.setdefault(path.resolve(), kind)
    if other != kind and not (path.exists() and not path.is_file()):  # /dev/null takes all
        raise UsageError(f"--{other} and --{kind} both name {path}", hint="give each a name of its own")


def _written(write: Callable[..., None], path: Path, more: Mapping[str, str], report: Any) -> None:
    write(report, path, **more)
