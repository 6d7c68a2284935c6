"""Has a fleet serve what a models.config asks for, as the file and the folders that it names change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy_core.errors import DeployError, UnavailableError, UsageError
from deploy_servers.embedded.servables import Found, Wanted, look
from deploy_servers.embedded.service import Fleet, Model

log = logging.getLogger("deploy.model_server")

Load = Callable[[str, int, Path], Model]
Key = tuple[str, int]


class LabelError(UsageError):
    """A label is to name a version that is not served."""


@dataclass(frozen=True)
class Retries:
    """How often a load that failed is tried again, and after how many seconds."""

    most: int = 5
    pause: float = 60.0


@dataclass
class _Failure:
    """A load that failed: how often, and when it may be tried again (the loop's time)."""

    count: int
    again: float


@dataclass
class Follower:
    """Keeps what is served in step with what is wanted; `labels_ahead` lets a new label name what is not loaded.

    A file that is refused changes nothing. What comes is loaded before what leaves goes.
    """

    load: Load
    labels_ahead: bool = False
    retries: Retries = field(default_factory=Retries)
    _wanted: tuple[Wanted, ...] = ()
    _loaded: set[Key] = field(default_factory=set)
    _failures: dict[Key, _Failure] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def accept(self, wanted: Sequence[Wanted]) -> None:
        """Want this from now on. Raises UsageError if a label names a version that is not served."""
        for model in wanted:
            self._check_labels(model)
        if tuple(wanted) != self._wanted:
            self._failures.clear()
        self._wanted = tuple(wanted)

    def first(self) -> list[Model] | None:
        """Load what is wanted before anybody can ask; None if a model has no version yet. Raises UnavailableError."""
        found = {model.name: self._look(model) for model in self._wanted}
        if not all(found.values()):
            return None
        models = []
        for name, version, path in _flat(found):
            try:
                models.append(self._labelled(self.load(name, version, path)))
            except DeployError as error:
                raise UnavailableError(
                    f"Failed to start server. Error: {_failed(name, version)}: {error}", hint=error.hint
                ) from error
            self._loaded.add((name, version))
        return models

    async def follow(self, fleet: Fleet) -> None:
        """Look at the folders once, and load and drop what has to be; what fails is told and tried again later."""
        found = {model.name: self._look(model) for model in self._wanted}
        for name, version, path in _flat(found):
            if (name, version) not in self._loaded and self._due((name, version)):
                await self._come(fleet, name, version, path)
        for name, version in sorted(self._loaded):
            chosen = found.get(name, {})
            if version not in chosen and (not chosen or any((name, other) in self._loaded for other in chosen)):
                fleet.remove(name, version)
                self._loaded.discard((name, version))
                log.info("Unloaded servable {name: %s version: %d}", name, version)
        for model in self._wanted:
            fleet.label(model.name, model.labels)

    async def _come(self, fleet: Fleet, name: str, version: int, path: Path) -> None:
        try:
            model = await asyncio.to_thread(self.load, name, version, path)
        except DeployError as error:
            count = self._failures[name, version].count + 1 if (name, version) in self._failures else 1
            self._failures[name, version] = _Failure(count, asyncio.get_running_loop().time() + self.retries.pause)
            log.error("%s: %s", _failed(name, version), error)
            return
        self._failures.pop((name, version), None)
        fleet.add(self._labelled(model))
        self._loaded.add((name, version))
        log.info("Successfully loaded servable version {name: %s version: %d}", name, version)

    def absent(self) -> list[str]:
        """Give the models that are wanted and of which no version is served."""
        there = {name for name, _ in self._loaded}
        return [model.name for model in self._wanted if model.name not in there]

    def _due(self, key: Key) -> bool:
        failure = self._failures.get(key)
        if failure is None:
            return True
        return failure.count <= self.retries.most and asyncio.get_running_loop().time() >= failure.again

    def _look(self, model: Wanted) -> Mapping[int, Path]:
        found = look(model.base_path)
        for folder, why in found.strange.items():
            self._tell(f"the folder {folder!r} below {model.base_path} is no version: {why}")
        chosen = {version: found.versions[version] for version in model.policy.choose(found.versions)}
        self._tell_absent(model, found, chosen)
        return chosen

    def _tell_absent(self, model: Wanted, found: Found, chosen: Mapping[int, Path]) -> None:
        for version in model.policy.specific:
            if version not in found.versions:
                self._tell(
                    f"Version {version} of servable {model.name}, which was requested to be served as a 'specific' "
                    "version in the servable's version policy, was not found in the file system"
                )
        if not chosen:
            self._tell(
                f"No versions of servable {model.name} found under base path {model.base_path}. "
                "Did you forget to name your leaf directory as a number (eg. '/1/')?"
            )

    def _tell(self, text: str) -> None:
        # It looks every second: what it has said once it does not say again.
        if text not in self._told:
            self._told.add(text)
            log.warning(text)

    def _check_labels(self, model: Wanted) -> None:
        before = next((one.labels for one in self._wanted if one.name == model.name), {})
        for label, version in model.labels.items():
            ahead = self.labels_ahead and before.get(label, version) == version
            if (model.name, version) not in self._loaded and not ahead:
                raise LabelError(
                    f"Request to assign label to version {version} of model {model.name}, "
                    "which is not currently available for inference",
                    hint="serve the version first, then move the label",
                )

    def _labelled(self, model: Model) -> Model:
        served = model.served
        labels = next((one.labels for one in self._wanted if one.name == served.name), {})
        own = tuple(label for label, version in labels.items() if version == served.version)
        return replace(model, served=replace(served, labels=own))


def _flat(found: Mapping[str, Mapping[int, Path]]) -> Iterator[tuple[str, int, Path]]:
    for name, versions in found.items():
        for version, path in versions.items():
            yield name, version, path


def _failed(name: str, version: int) -> str:
    return f"Loading servable: {{name: {name} version: {version}}} failed"
