"""The directory of models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy_core.artifact import Artifact
from deploy_core.errors import TamperedError, UsageError
from deploy_model_store.aliases import read_aliases, write_aliases
from deploy_model_store.disk import flush, flush_tree, link_tree, locked, writing
from deploy_model_store.golden import GOLDEN_FILE, Golden, write_golden
from deploy_model_store.manifest import MANIFEST_FILE, write_manifest
from deploy_model_store.names import check_alias, check_name, is_name, is_number, split_reference
from deploy_model_store.record import SCHEMA, Record, now
from deploy_model_store.staging import STAGING, staging
from deploy_model_store.version import Damage, Version, is_below

LOCKS = ".locks"


class Store:
    """The models below `root`, which need not exist before the first publish."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def names(self) -> list[str]:
        """Give the models that have a version; a folder whose name is no model's is somebody else's."""
        if not self.root.is_dir():
            return []
        folders = (p for p in self.root.iterdir() if is_name(p.name) and p.is_dir())
        return sorted(folder.name for folder in folders if _numbers(folder))

    def versions(self, name: str) -> list[int]:
        """Give a model's versions, oldest first; none for an unknown name. Raises UsageError for what is no name."""
        return _numbers(self.root / check_name(name))

    def version(self, name: str, number: int) -> Version:
        """Give one version. Raises UsageError if there is none, TamperedError if its manifest is damaged."""
        self._require(name, number)
        return Version.read(name, number, self.root / name / str(number))

    def resolve(self, reference: str) -> Version:
        """Give the version that `NAME` (the newest), `NAME@3` or `NAME@ALIAS` means. Raises UsageError, TamperedError."""
        return self.version(*self.locate(reference))

    def verify(self, name: str, number: int) -> tuple[Damage, ...]:
        """Give what is missing, extra or changed in a version; a manifest that cannot be used is all that can be told."""
        try:
            return self.version(name, number).verify()
        except TamperedError as error:
            missing = isinstance(error.__cause__, FileNotFoundError)
            return (Damage(MANIFEST_FILE, "missing" if missing else "changed"),)

    def locate(self, reference: str) -> tuple[str, int]:
        """Give name and number of what `resolve` would read. Raises UsageError."""
        name, at = split_reference(reference)
        numbers = self._known(name)
        if at is None:
            return name, numbers[-1]
        if is_number(at):
            return name, int(at)
        aliases = self.aliases(name)
        if at not in aliases:
            known = ", ".join(f"{alias} (version {number})" for alias, number in sorted(aliases.items())) or "none"
            raise UsageError(f"{name} has no alias {at!r}", hint=f"its aliases: {known}; {_listed(numbers)}")
        return name, aliases[at]

    def staging(self, name: str) -> AbstractContextManager[Path]:
        """Give a private folder to build a version in; it is removed on any exit unless it was published."""
        return staging(self.root, check_name(name))

    def publish(self, staged: Path, name: str, record: Record, golden: Golden) -> Version:
        """Make a staged folder the next version: it appears whole, by one rename, or not at all.

        `staged` is a folder of `staging`, in which the paths of the record's artifacts lie. Raises UsageError for a
        record that does not fit it, TamperedError if a file is not the one that its artifact's digest was taken of.
        """
        check_name(name)
        if staged.resolve().parent != (self.root / STAGING).resolve():
            raise UsageError(f"{staged} was not made by this store", hint="build the version in `Store.staging`")
        _require_distinct(record)
        with writing(self.root):
            facts = write_golden(golden, staged / GOLDEN_FILE)
            sealed = replace(record, schema=SCHEMA).sealed(staged)
            write_manifest(staged, sealed, facts)
            flush_tree(staged)
            number = self._appear(staged, name)
        return self.version(name, number)

    def extend(
        self,
        staged: Path,
        version: Version,
        artifacts: Sequence[Artifact] = (),
        *,
        golden: Golden | None = None,
        agreement: Mapping[str, Any] | None = None,
        replaced: Mapping[str, Any] | None = None,
    ) -> Version:
        """Publish the next version of the same training result: the old files by hard link, plus what is new.

        A new artifact takes the place of an old one of its name; golden data and agreement stay unless given. `replaced`
        are further fields of the record, in the place of the old.
        Raises TamperedError if an old file that is carried over is damaged.
        """
        new = {artifact.name for artifact in artifacts}
        without = [_relative(version, a) for a in version.artifacts if a.name in new]
        with writing(self.root):
            _carry(version, staged, without=without)
        carried = [_moved(version, a, staged) for a in version.artifacts if a.name not in new]
        reference = _moved(version, version.reference, staged) if version.reference else None
        record = replace(
            version.record,
            artifacts=(*carried, *artifacts),
            reference=reference,
            agreement=version.agreement if agreement is None else agreement,
            created=now(),
            **(replaced or {}),
        )
        return self.publish(staged, version.name, record, golden or version.golden)

    def aliases(self, name: str) -> dict[str, int]:
        """Give the aliases of a model. Raises TamperedError if the file is damaged."""
        return read_aliases(self.root / check_name(name))

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Let the alias mean that version from now on. Raises UsageError for an integer or an absent version."""
        check_alias(alias)
        self._require(name, number)
        with writing(self.root), self._locked(name):
            write_aliases(self.root / name, {**self.aliases(name), alias: number})

    def remove_alias(self, name: str, alias: str) -> None:
        """Forget an alias. Raises UsageError if there is none of that name."""
        self._known(name)
        with writing(self.root), self._locked(name):
            aliases = self.aliases(name)
            if alias not in aliases:
                known = ", ".join(sorted(aliases)) or "none"
                raise UsageError(f"{name} has no alias {alias!r}", hint=f"its aliases: {known}")
            write_aliases(self.root / name, {key: value for key, value in aliases.items() if key != alias})

    def _appear(self, staged: Path, name: str) -> int:
        home = self.root / name
        with self._locked(name):
            home.mkdir(exist_ok=True)
            number = max([0, *_numbers(home), *self.aliases(name).values()]) + 1
            os.rename(staged, home / str(number))  # noqa: PTH104  Path.rename says no more
            flush(home)
            flush(self.root)
        return number

    def _locked(self, name: str) -> AbstractContextManager[None]:
        return locked(self.root / LOCKS / f"{name}.lock")

    def _known(self, name: str) -> list[int]:
        numbers = self.versions(name)
        if not numbers:
            known = ", ".join(self.names()) or "nothing yet"
            raise UsageError(f"no model {name!r} in the store {self.root}", hint=f"it holds: {known}")
        return numbers

    def _require(self, name: str, number: int) -> None:
        numbers = self._known(name)
        if number not in numbers:
            raise UsageError(f"{name} has no version {number}", hint=_listed(numbers))


def _numbers(home: Path) -> list[int]:
    if not home.is_dir():
        return []
    return sorted(int(p.name) for p in home.iterdir() if is_number(p.name) and p.is_dir() and not p.is_symlink())


def _listed(numbers: list[int]) -> str:
    return f"its versions: {', '.join(map(str, numbers))}"


def _require_distinct(record: Record) -> None:
    names = [artifact.name for artifact in record.artifacts]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two artifacts are called {name!r}", hint="give each its own format and variant")


def _carry(version: Version, staged: Path, *, without: Sequence[str]) -> None:
    """Hard-link the version's files into `staged`, where nothing new stands in their place."""
    dropped = (GOLDEN_FILE, *without)
    for damage in version.verify():
        if damage.problem != "extra" and not is_below(damage.file, dropped):
            raise TamperedError(f"{version}: {damage}", hint="export the model afresh, or restore the file from a copy")
    for name in version.files:
        if not is_below(name, dropped) and not (staged / name).exists():
            link_tree(version.path / name, staged / name)


def _relative(version: Version, artifact: Artifact) -> str:
    return artifact.path.relative_to(version.path).as_posix()


def _moved(version: Version, artifact: Artifact, staged: Path) -> Artifact:
    return replace(artifact, path=staged / _relative(version, artifact))
