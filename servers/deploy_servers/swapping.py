"""The one place that has a running server serve other versions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy_core.errors import UnavailableError, reason
from deploy_servers.furnishing import open_to_all, put_files, put_links, take_away
from deploy_servers.launch import Running
from deploy_servers.readiness import Accept, OnEvent, wait_until_ready
from deploy_servers.swap import Call, Swap

_LEAST = 5.0  # seconds that a call gets when there is no time left: to undo is worth it


def apply(swap: Swap, running: Running, accept: Accept, *, timeout: float, on_event: OnEvent) -> None:
    """Have a running server serve what `swap` says; `accept` judges it.

    Raises UnavailableError if one of the new endpoints does not answer right within `timeout` seconds; the old versions
    are served as before then.
    """
    folder, old, since = running.launch.folder, running.launch, running.process.log_size
    deadline = time.monotonic() + timeout
    new = put_links(folder, swap.links)
    try:
        put_files(folder, swap.files)
        if old.engine:
            open_to_all(folder, but=old.writes)
        for calls, endpoints in ((swap.load, swap.trial), (swap.promote, swap.endpoints)):
            _call_all(calls, folder, deadline)
            wait_until_ready(
                running.process,
                endpoints,
                accept,
                deadline=deadline,
                fatal=swap.launch.fatal,
                since=since,
                on_event=on_event,
            )
    except UnavailableError as error:
        _undo(swap, running, {place: path for place, path in old.links.items() if place in swap.links}, new, error)
        raise
    running.become(swap.launch, accept)
    on_event(f"{swap.launch} is ready")
    _withdraw(swap, folder, deadline, on_event)


def _withdraw(swap: Swap, folder: Path, deadline: float, on_event: OnEvent) -> None:
    try:
        put_files(folder, swap.files_after)
        _call_all(swap.unload, folder, deadline)
    except UnavailableError as error:
        # What is new is served already, and right: that what is old stays in memory is no reason to go back.
        on_event(f"what was served before could not be unloaded: {error}")
        return
    take_away(folder, swap.unlinks)


def _undo(swap: Swap, running: Running, before: Mapping[str, Path], new: Iterable[str], error: Exception) -> None:
    folder = running.launch.folder
    put_files(folder, swap.files_before)
    put_links(folder, before)
    if running.process.returncode is not None:
        return  # it will be started again from what it was
    try:
        _call_all(swap.undo, folder, time.monotonic())
    except UnavailableError as further:
        error.add_note(f"undoing it failed, too: {further}")
    take_away(folder, new)


def _call_all(calls: Iterable[Call], folder: Path, deadline: float) -> None:
    for call in calls:
        token = {"Authorization": f"Bearer {_key(folder, call.key)}"} if call.key else {}
        _call(call, {**call.headers, **token}, max(_LEAST, deadline - time.monotonic()))


def _key(folder: Path, where: tuple[str, ...]) -> str:
    file, *members = where
    try:
        found = json.loads((folder / file).read_text())
        for member in members:
            found = found[member]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"the server's key cannot be read from {folder / file}: {error}") from error
    return str(found)


def _call(call: Call, headers: Mapping[str, str], timeout: float) -> None:
    """Make one request, on a connection of its own. Raises UnavailableError unless it has been heard."""
    import urllib3

    what = f"{call.method} {call.url}"
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                call.method, call.url, body=call.body or None, headers=headers, timeout=timeout, retries=False
            )
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError(f"{what} was not answered: {reason(error)}") from error
    if answer.status >= 300 and not (call.may_be_absent and answer.status == 404):
        said = answer.data[:500].decode(errors="replace").strip()
        raise UnavailableError(f"{what} was refused with status {answer.status}: {said}")
