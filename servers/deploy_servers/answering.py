"""Where a version can be asked: of a server's dialects and transports those that carry its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError
from deploy_dialects.carrying import not_carried
from deploy_model_store import Version


def answering(version: Version, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Give those endpoints of a version that carry its tensors. Raises UsageError if none does."""
    found = tuple(one for one in endpoints if not not_carried(one.dialect, one.transport, version.signature))
    if endpoints and not found:
        told = "; ".join(left_out([version], [(one.dialect, one.transport) for one in endpoints]))
        raise UsageError(f"nobody could ask this server for {version}: {told}", hint="serve it by --server embedded")
    return found


def left_out(versions: Iterable[Version], ways: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Say by which (dialect, transport) of a server some of these versions cannot be asked, and why."""
    return tuple(_why(version, *way) for version in versions for way in ways if not_carried(*way, version.signature))


def _why(version: Version, dialect: str, transport: str) -> str:
    specs = not_carried(dialect, transport, version.signature)
    return f"{dialect}+{transport} cannot carry {', '.join(map(str, specs))} of {version}"
