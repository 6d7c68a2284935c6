"""Looking into the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_model_store import Damage, Store, Version
from deploy_toolkit.flows.export import artifact_json


@dataclass(frozen=True)
class Verification:
    """The damages found in each version that was looked at, by name and number."""

    found: tuple[tuple[str, int, tuple[Damage, ...]], ...]

    @property
    def exit_code(self) -> int:
        """4 if a stored file is not what was published."""
        return 4 if any(damages for _, _, damages in self.found) else 0

    def to_json(self) -> dict[str, Any]:
        """Give the document that `deploy store verify --json` prints."""
        return {
            "schema": "deploy/verify/1",
            "ok": self.exit_code == 0,
            "versions": [
                {
                    "name": name,
                    "version": number,
                    "damages": [{"file": damage.file, "problem": damage.problem} for damage in damages],
                }
                for name, number, damages in self.found
            ],
        }


def listing(store: Path) -> tuple[Version, ...]:
    """Give every version of every model."""
    shelf = Store(store)
    return tuple(shelf.version(name, number) for name, number in _all(shelf))


def listing_json(versions: tuple[Version, ...]) -> dict[str, Any]:
    """Give the document that `deploy store ls --json` prints."""
    return {
        "schema": "deploy/store/1",
        "versions": [
            {
                "name": version.name,
                "version": version.number,
                "created": version.record.created,
                "artifacts": [artifact.name for artifact in version.artifacts],
            }
            for version in versions
        ],
    }


def version(store: Path, name: str) -> Version:
    """Give one version. Raises UsageError."""
    return Store(store).resolve(name)


def version_json(version: Version) -> dict[str, Any]:
    """Give the document that `deploy store show --json` prints."""
    golden = version.golden
    return {
        "schema": "deploy/version/1",
        "name": version.name,
        "version": version.number,
        "path": str(version.path),
        "created": version.record.created,
        "training_id": version.record.training_id,
        "source": dict(version.record.source),
        "signature": version.record.signature.to_json(),
        "artifacts": [artifact_json(artifact) for artifact in version.artifacts],
        "noise": {"values": dict(golden.noise), "origin": golden.noise_origin},
    }


def verify(store: Path, names: tuple[str, ...]) -> Verification:
    """Compare the files of the named versions, else of all, with what was published."""
    shelf = Store(store)
    places = [shelf.locate(name) for name in names] if names else _all(shelf)
    return Verification(tuple((name, number, shelf.verify(name, number)) for name, number in places))


def alias(store: Path, name: str, alias: str) -> Version:
    """Let `alias` name that version."""
    shelf = Store(store)
    version = shelf.resolve(name)
    shelf.set_alias(version.name, alias, version.number)
    return version


def _all(shelf: Store) -> list[tuple[str, int]]:
    return [(name, number) for name in shelf.names() for number in shelf.versions(name)]
