"""What converts to what and which servers can run here, told from the tables without importing what they name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FormatRow:
    """One route; `missing` is empty, or says what to install."""

    kind: str
    format: str
    route: tuple[str, ...]
    missing: str


@dataclass(frozen=True)
class ServerRow:
    """One server; `missing` is empty, or says what to install."""

    server: str
    formats: tuple[str, ...]
    dialects: tuple[str, ...]
    missing: str
