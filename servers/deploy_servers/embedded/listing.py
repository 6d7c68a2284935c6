"""The file that tells a running embedded server what to serve."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_model_store import Store, Version

FILE = "models.json"
SCHEMA = "deploy/embedded-models/1"
FAILED = "could not load "


@dataclass(frozen=True)
class Listed:
    """One version to serve; labels that are None stay as they are. On trial it answers only who asks for its number."""

    name: str
    version: int
    labels: tuple[str, ...] | None = None
    on_trial: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from others."""
        return self.name, self.version


def text(listed: Iterable[Listed]) -> str:
    """Give the file that lists these."""
    models = [
        {
            "name": one.name,
            "version": one.version,
            "labels": None if one.labels is None else list(one.labels),
            "on_trial": one.on_trial,
        }
        for one in listed
    ]
    return json.dumps({"schema": SCHEMA, "models": models}, indent=1) + "\n"


def read(path: Path) -> tuple[Listed, ...]:
    """Read the file. Raises UsageError if it is none of ours."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']!r}")
        return tuple(map(_listed, data["models"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not list models: {error}", hint=f"its schema is {SCHEMA}") from error


def labelled(versions: Sequence[Version], store: Store) -> tuple[Listed, ...]:
    """List versions with the aliases that stand for them in the store as labels."""
    aliases = {name: store.aliases(name) for name in {version.name for version in versions}}
    return tuple(
        Listed(
            version.name,
            version.number,
            tuple(label for label, number in aliases[version.name].items() if number == version.number),
        )
        for version in versions
    )


def _listed(data: Mapping[str, object]) -> Listed:
    name, version, labels = data["name"], data["version"], data["labels"]
    if not (isinstance(name, str) and type(version) is int and (labels is None or isinstance(labels, list))):
        raise TypeError(f"{dict(data)} is no version")
    return Listed(name, version, None if labels is None else tuple(map(str, labels)), bool(data["on_trial"]))
