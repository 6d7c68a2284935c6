"""The data plane of the embedded server: which versions it serves."""

from __future__ import annotations

from collections.abc import Iterable

from deploy_dialects.wire import Refused, Served


class ServedModels:
    """Some versions; the newest of a name answers when no version is asked for. Implements `wire.Plane`.

    One that is on trial answers only who asks for its number.
    """

    def __init__(self, served: Iterable[Served]) -> None:
        self._models: dict[str, dict[int, Served]] = {}
        self._trials: frozenset[tuple[str, int]] = frozenset()
        for one in served:
            self.put(one)

    def put(self, served: Served) -> None:
        """Have a version answer from now on, in the place of what had its name and number."""
        versions = {**self._models.get(served.name, {}), served.version: served}
        self._models = dict(sorted({**self._models, served.name: dict(sorted(versions.items()))}.items()))

    def try_out(self, trials: Iterable[tuple[str, int]]) -> None:
        """Have these versions, and no others, be on trial."""
        self._trials = frozenset(trials)

    def drop(self, name: str, version: int) -> None:
        """Have a version answer no more."""
        del self._models[name][version]
        if not self._models[name]:
            del self._models[name]

    def served(self) -> Iterable[Served]:
        """Give every version, by name and then from the oldest on."""
        return [one for versions in self._models.values() for one in versions.values()]

    def find(self, name: str, version: str | None = None, *, label: str | None = None) -> Served:
        """Give one version, the newest without `version` and `label`. Raises Refused NOT_FOUND."""
        versions = self._models.get(name)
        if versions is None:
            raise Refused("NOT_FOUND", f"model {name!r} is not served here")
        if label is not None:
            found = next((one for one in versions.values() if label in one.labels), None)
        elif version is not None:
            found = versions.get(_number(version))
        else:
            found = next((one for one in reversed(versions.values()) if not self._is_tried(one)), None)
        if found is None:
            raise Refused(
                "NOT_FOUND", f"model {name!r} has no {'label' if label else 'version'} {label or version or 'yet'} here"
            )
        return found

    def _is_tried(self, served: Served) -> bool:
        return (served.name, served.version) in self._trials


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() and len(version) < 20 else -1
