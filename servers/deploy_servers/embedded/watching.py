"""A running embedded server serves what its file lists: it looks at the file again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from deploy_core.errors import DeployError, UsageError, first_line
from deploy_dialects.wire import Served
from deploy_servers.embedded.listing import FAILED, Listed, read
from deploy_servers.embedded.service import Fleet, Model

_PAUSE = 0.1  # seconds between looks at the file


async def follow(path: Path, fleet: Fleet, load: Callable[[Listed], Model], say: Callable[[str], None]) -> None:
    """Have the fleet be what the file lists, for ever; `load` runs beside the loop."""
    seen = _state(path)
    while True:
        await asyncio.sleep(_PAUSE)
        now = _state(path)
        if now == seen:
            continue
        seen = now
        try:
            await bring_about(read(path), fleet, load, say)
        except UsageError as error:
            say(f"what is served stays: {error}")


async def bring_about(
    listed: Sequence[Listed], fleet: Fleet, load: Callable[[Listed], Model], say: Callable[[str], None]
) -> None:
    """Load what is new, then give each its labels, then let go of what is not listed; what cannot be loaded is told."""
    served = {(one.name, one.version): one for one in fleet.plane.served()}
    fleet.plane.try_out(one.key for one in listed if one.on_trial)
    for one in listed:
        if one.key in served:
            _label(fleet, served[one.key], one)
        else:
            await _add(one, fleet, load, say)
    for name, version in served.keys() - {one.key for one in listed}:
        fleet.remove(name, version)
        say(f"{name}@{version} is served no more")


async def _add(one: Listed, fleet: Fleet, load: Callable[[Listed], Model], say: Callable[[str], None]) -> None:
    try:
        model = await asyncio.to_thread(load, one)
    except DeployError as error:
        say(f"{FAILED}{one.name}@{one.version}: {error}")
    except Exception as error:  # whatever a runtime raises on a file that it cannot read: the others are served on
        say(f"{FAILED}{one.name}@{one.version}: {first_line(error)}")
    else:
        fleet.add(model)
        say(f"{one.name}@{one.version} is loaded{' on trial' if one.on_trial else ''}")


def _label(fleet: Fleet, served: Served, one: Listed) -> None:
    if one.labels is not None and one.labels != served.labels:
        fleet.plane.put(replace(served, labels=one.labels))


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
