"""How a running TorchServe comes to serve other versions: by its management API, beside the old ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlencode

from deploy_core.endpoint import Endpoint, address_of
from deploy_core.errors import UsageError
from deploy_model_store import Version
from deploy_servers.settings import Settings
from deploy_servers.swap import Call, Swap
from deploy_servers.torchserve.options import Options, read
from deploy_servers.torchserve.planning import KEYS, MODELS, endpoints, linked, plan
from deploy_servers.torchserve.properties import Archive

_KEY = (KEYS, "management", "key")


def swap(old: Sequence[Version], new: Sequence[Version], settings: Settings) -> Swap:
    """Say how a server of `old` comes to serve `new`: new archives are loaded, tried by their own version, become the
    default, and old ones go.

    Raises UsageError if its model API is off, if two archives of one model have the same version of their own, or if
    several versions of a model are to be served beside each other.
    """
    options = read(settings.options)
    if not options.model_api:
        raise UsageError(
            "this TorchServe takes no other models while it runs", hint="start it with --set enable_model_api=true"
        )
    _require_one_each(new)
    before, after = dict(_by_model(old)), dict(_by_model(new))
    came = [name for name in after if not _same(before.get(name), after[name])]
    went = [name for name in before if not _same(before[name], after.get(name))]
    for name in set(came) & set(went):
        _require_apart(after[name].archive, before[name].archive)
    calls = _Calls(settings, options)
    return Swap(
        launch=plan(new, settings),
        endpoints=tuple(endpoint for name in after for endpoint in endpoints(after[name].version, settings)),
        links={f"{MODELS}/{after[name].archive.file}": after[name].path for name in came},
        load=tuple(calls.load(after[name].archive) for name in came),
        trial=tuple(endpoint for name in came for endpoint in _trial(after[name], settings)),
        promote=tuple(calls.make_default(after[name].archive) for name in came),
        unload=tuple(calls.unload(before[name].archive) for name in went),
        unlinks=tuple(f"{MODELS}/{before[name].archive.file}" for name in went),
        undo=(
            *(calls.make_default(before[name].archive) for name in came if name in before),
            # TorchServe itself unregisters a model whose workers did not start, before or after it says so.
            *(replace(calls.unload(after[name].archive), may_be_absent=True) for name in came),
        ),
    )


@dataclass(frozen=True)
class _Stored:
    version: Version
    archive: Archive
    path: Path

    @property
    def digest(self) -> str:
        return self.version.artifact("mar").digest


def _trial(stored: _Stored, settings: Settings) -> tuple[Endpoint, ...]:
    return endpoints(stored.version, settings, stored.archive.version)


def _by_model(versions: Sequence[Version]) -> Iterator[tuple[str, _Stored]]:
    for version, (archive, path) in zip(versions, linked(versions), strict=True):
        yield version.name, _Stored(version, archive, path)


def _same(one: _Stored | None, other: _Stored | None) -> bool:
    return one is not None and other is not None and one.digest == other.digest


def _require_one_each(versions: Sequence[Version]) -> None:
    for name, count in Counter(version.name for version in versions).items():
        if count > 1:
            raise UsageError(
                f"torchserve cannot follow {count} versions of {name} at once", hint="follow one, or leave out --follow"
            )


def _require_apart(new: Archive, old: Archive) -> None:
    if new.version == old.version:
        raise UsageError(
            f"both archives of {new.name} call themselves version {new.version}, so TorchServe holds only one",
            hint="export the model again (--to mar): archives of this toolkit have versions of their own; or restart",
        )


class _Calls:
    """The requests to the management address of one run."""

    def __init__(self, settings: Settings, options: Options) -> None:
        self._address = f"http://{address_of(options.management_host, settings.ports[0])}/models"
        self._options = options
        self._key = _KEY if options.tokens else ()

    def load(self, archive: Archive) -> Call:
        """Load an archive, answered when its workers are there."""
        wanted = {
            "url": archive.file,
            "model_name": archive.name,
            "initial_workers": self._options.workers,
            "synchronous": "true",
            "batch_size": self._options.batch_size,
            "max_batch_delay": self._options.max_batch_delay,
            "response_timeout": self._options.response_timeout,
        }
        return Call("POST", f"{self._address}?{urlencode(wanted)}", key=self._key)

    def make_default(self, archive: Archive) -> Call:
        """Let requests that name no version go to this one."""
        return Call("PUT", f"{self._of(archive)}/set-default", key=self._key)

    def unload(self, archive: Archive) -> Call:
        """End an archive's workers."""
        return Call("DELETE", self._of(archive), key=self._key)

    def _of(self, archive: Archive) -> str:
        return f"{self._address}/{quote(archive.name, safe='')}/{quote(archive.version, safe='')}"
