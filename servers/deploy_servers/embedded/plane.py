"""The data plane of the embedded server: which versions it serves."""

from __future__ import annotations

from collections.abc import Iterable

from deploy_dialects.wire import Refused, Served


class ServedModels:
    """Some versions; the newest of a name answers when no version is asked for. Implements `wire.Plane`."""

    def __init__(self, served: Iterable[Served]) -> None:
        self._models: dict[str, dict[int, Served]] = {}
        for one in served:
            self.put(one)

    def put(self, served: Served) -> None:
        """Have a version answer from now on, in the place of what had its name and number."""
        versions = {**self._models.get(served.name, {}), served.version: served}
        self._models = dict(sorted({**self._models, served.name: dict(sorted(versions.items()))}.items()))

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
            found = versions[max(versions)]
        if found is None:
            raise Refused(
                "NOT_FOUND", f"model {name!r} has no {'label' if label else 'version'} {label or version} here"
            )
        return found


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() and len(version) < 20 else -1
