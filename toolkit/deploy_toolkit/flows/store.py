"""Looking into the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_core.errors import TamperedError, UsageError
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


@dataclass(frozen=True)
class Listing:
    """Every version that can be read, the aliases of each model, and of what cannot be read the reason."""

    versions: tuple[Version, ...]
    aliases: Mapping[str, Mapping[str, int]]
    damaged: tuple[tuple[str, str], ...]

    @property
    def exit_code(self) -> int:
        """4 if a manifest or a file of aliases is not what was written."""
        return 4 if self.damaged else 0

    def aliases_of(self, version: Version) -> list[str]:
        """Give the names that a version has."""
        named = self.aliases.get(version.name, {})
        return sorted(alias for alias, number in named.items() if number == version.number)


def listing(store: Path) -> Listing:
    """Give all that the store holds; what is damaged hides nothing else."""
    shelf = Store(store)
    versions, aliases, damaged = [], {}, []
    for name in shelf.names():
        try:
            aliases[name] = shelf.aliases(name)
        except TamperedError as error:
            damaged.append((name, str(error)))
        for number in shelf.versions(name):
            try:
                versions.append(shelf.version(name, number))
            except TamperedError as error:
                damaged.append((f"{name}@{number}", str(error)))
    return Listing(tuple(versions), aliases, tuple(damaged))


def listing_json(found: Listing) -> dict[str, Any]:
    """Give the document that `deploy store ls --json` prints."""
    return {
        "schema": "deploy/store/1",
        "damaged": [{"what": what, "problem": problem} for what, problem in found.damaged],
        "versions": [
            {
                "name": version.name,
                "version": version.number,
                "created": version.created,
                "artifacts": [artifact.name for artifact in version.artifacts],
                "aliases": found.aliases_of(version),
            }
            for version in found.versions
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
        "created": version.created,
        "training_id": version.training_id,
        "source": dict(version.source),
        "signature": version.signature.to_json(),
        "artifacts": [artifact_json(artifact) for artifact in version.artifacts],
        "noise": {"values": golden.greatest_noise, "origin": golden.noise_origin},
    }


def verify(store: Path, names: tuple[str, ...]) -> Verification:
    """Compare the files of the named versions, else of all, with what was published. Raises UsageError if there is none."""
    shelf = Store(store)
    places = [shelf.locate(name) for name in names] if names else _all(shelf)
    return Verification(tuple((name, number, shelf.verify(name, number)) for name, number in places))


def alias(store: Path, name: str, alias: str, number: int | None = None) -> Version:
    """Let `alias` name a version: that number, else what `name` means by itself. Raises UsageError."""
    shelf = Store(store)
    if number is not None:
        if "@" in name:
            raise UsageError(f"{name} {alias} {number} names two versions", hint="write NAME ALIAS VERSION")
        name = f"{name}@{number}"
    version = shelf.resolve(name)
    shelf.set_alias(version.name, alias, version.number)
    return version


def aliases(store: Path, name: str | None = None) -> dict[str, dict[str, int]]:
    """Give the aliases of a model, of all without a name. Raises UsageError, and TamperedError for a damaged file."""
    shelf = Store(store)
    if name is None:
        return {each: shelf.aliases(each) for each in shelf.names()}
    known, _ = shelf.locate(name)
    return {known: shelf.aliases(known)}


def remove_alias(store: Path, name: str, alias: str) -> dict[str, dict[str, int]]:
    """Let `alias` name nothing any more; give the aliases that are left. Raises UsageError."""
    Store(store).remove_alias(name, alias)
    return aliases(store, name)


def aliases_json(found: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Give the document that `deploy store alias --json` prints when it lists or removes."""
    rows = [(name, alias, number) for name, named in found.items() for alias, number in sorted(named.items())]
    return {
        "schema": "deploy/aliases/1",
        "aliases": [{"name": name, "alias": alias, "version": number} for name, alias, number in rows],
    }


def models(shelf: Store) -> list[str]:
    """Give the models of a store. Raises UsageError if it has none: a store that is not there is not all right."""
    found = shelf.names()
    if not found:
        raise UsageError(f"the store {shelf.root} holds no model", hint="deploy export SOURCE --to onnx stores one")
    return found


def _all(shelf: Store) -> list[tuple[str, int]]:
    return [(name, number) for name in models(shelf) for number in shelf.versions(name)]
