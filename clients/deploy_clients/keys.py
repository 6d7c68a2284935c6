"""The keys that a TorchServe makes for itself when it starts: found, so that nobody has to carry them about."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy_clients.headers import Secret
from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError

VARIABLE = "DEPLOY_TORCHSERVE_KEYS"


def header(endpoint: Endpoint, kind: str = "inference") -> Secret:
    """Give the authorization for an endpoint; none if nothing is known of keys for it.

    The file of keys is the one that `$DEPLOY_TORCHSERVE_KEYS` names, else that of a server which this user has started
    and which answers there. `kind` is `inference` or `management`. Raises UnavailableError if the file cannot be read.
    """
    if endpoint.dialect != "torchserve":
        return Secret()
    given = os.environ.get(VARIABLE)
    path = Path(given) if given else next(_recorded(endpoint), None)
    # A server that is just starting has not written it yet; it refuses the request then, and is asked again.
    if path is None or (not given and not path.exists()):
        return Secret()
    return bearer(path, kind)


def bearer(path: Path, kind: str = "inference") -> Secret:
    """Give the authorization that a file of keys holds. Raises UnavailableError if it cannot be read."""
    return Secret({"authorization": f"Bearer {_key(path, kind)}"})


def _key(path: Path, kind: str) -> str:
    try:
        return str(json.loads(path.read_text())[kind]["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        # What is in the file stays out of the message.
        why = error.strerror if isinstance(error, OSError) else f"it has no key for {kind}"
        raise UnavailableError(
            f"the keys of TorchServe cannot be read from {path}: {why}",
            hint=f"{VARIABLE} names the key_file.json of the server that is asked",
        ) from None


def _recorded(endpoint: Endpoint) -> Iterator[Path]:
    """Give the files of keys of servers that were started from here and answer at that address, the newest first."""
    found = [_read(path) for path in state.records().glob("*.json")]
    for record in sorted(found, key=lambda each: float(each.get("created", 0)), reverse=True):
        facts = record.get("facts", {})
        if facts.get("key_file") and _address(endpoint.host, endpoint.port) in _addresses(facts):
            yield Path(facts["key_file"])


def _read(record: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return {}  # it has just ended, or another program's


def _addresses(facts: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for url in (*facts.get("endpoints", ()), *facts.get("management", ())):
        try:
            parts = urlsplit(str(url))
            yield _address(parts.hostname or "", parts.port or 0)
        except ValueError:
            continue  # another program's


def _address(host: str, port: int) -> tuple[str, int]:
    """Give where a server is from this machine, whatever name that has."""
    return ("127.0.0.1" if host in ("localhost", "0.0.0.0") else host.lower()), port
