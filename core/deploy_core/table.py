"""A registry: a table of strings (name → module → the extra that installs it), loaded when a name is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType

from deploy_core.errors import UnavailableError, UsageError


@dataclass(frozen=True)
class Row:
    """Where a member of a registry lives, and what it needs: importable module names, and the extra that brings them."""

    module: str
    needs: tuple[str, ...] = ()
    extra: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """The needed modules that are not installed; nothing is imported to find out."""
        return tuple(name for name in self.needs if not _found(name))


class Table(Mapping[str, Row]):
    """The members of one registry; other packages add rows by the entry-point group `deploy_toolkit.KINDs`.

    Those that are `internal` are no answer to a user who asks what there is.
    """

    def __init__(self, kind: str, rows: Mapping[str, Row], *, internal: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self._internal = internal
        self._own = dict(rows)

    @cached_property
    def _rows(self) -> dict[str, Row]:
        group = f"deploy_toolkit.{self.kind}s".replace(" ", "_")
        return {**{point.name: Row(point.value) for point in entry_points(group=group)}, **self._own}

    def __getitem__(self, name: str) -> Row:
        try:
            return self._rows[name]
        except KeyError:
            known = ", ".join(sorted(self._rows.keys() - set(self._internal)))
            raise UsageError(f"unknown {self.kind} {name!r}", hint=f"known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, name: str) -> ModuleType:
        """Import the module of that name. Raises UsageError for an unknown name, UnavailableError for a missing extra."""
        row = self[name]
        require(f"{self.kind} {name}", row.needs, row.extra)
        return import_module(row.module)


def require(what: str, modules: tuple[str, ...], extra: str) -> None:
    """Raise UnavailableError, with the command that mends it, unless all modules can be found."""
    missing = [name for name in modules if not _found(name)]
    if missing:
        raise UnavailableError(
            f"{what} needs {', '.join(missing)}, which is not installed", hint=f"pip install 'deploy-toolkit[{extra}]'"
        )


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
