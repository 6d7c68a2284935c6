"""What was measured, one JSON line each, so that a run that was interrupted goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy_core.errors import UsageError

KEY = ("kind", "model", "peer", "way", "tool", "concurrency", "round")


class Records:
    """The lines of a file. Raises UsageError for a file of a run with other settings."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self.lines: list[dict[str, Any]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self.lines = list(_read(path))
            _end_line(path)
        if not self.lines:
            self.add({"kind": "settings", **settings})
        had = {name: self.lines[0].get(name) for name in settings}
        if had != dict(settings):
            raise UsageError(f"{path} holds a run with {had}", hint="give another --results, or remove it")

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a record, at once."""
        self.lines.append(dict(record))
        with self._path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def has(self, key: Mapping[str, Any]) -> bool:
        """Tell whether something was measured before."""
        return any(all(line.get(name) == key.get(name) for name in KEY) for line in self.lines)

    def of(self, **wanted: Any) -> list[dict[str, Any]]:
        """Give the records that have these values."""
        return [line for line in self.lines if all(line.get(name) == value for name, value in wanted.items())]


def _end_line(path: Path) -> None:
    """End a line that was cut, so that the next one does not become part of it."""
    text = path.read_text()
    if text and not text.endswith("\n"):
        path.write_text(text + "\n")


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Give whole lines: the last one may be cut by whatever ended us."""
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
