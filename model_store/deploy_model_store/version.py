"""One published version of a model: immutable, holding every artifact of one training result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy_core.artifact import Artifact, digest_of
from deploy_core.errors import TamperedError, UnavailableError, UsageError
from deploy_core.signature import Signature
from deploy_model_store.golden import GOLDEN_FILE, Golden, read_golden
from deploy_model_store.manifest import MANIFEST_FILE, FileFact, Manifest, read_manifest, strange_files
from deploy_model_store.record import Record


@dataclass(frozen=True)
class Damage:
    """A file (relative to the version) that is not what was published: `missing`, `extra` or `changed`.

    `want` and `got` are sha256 as hex, empty where there is none, as for the manifest itself.
    """

    file: str
    problem: str
    want: str = ""
    got: str = ""

    def __str__(self) -> str:
        digests = (
            f" (sha256 {self.got or 'none'}, published as {self.want})"
            if self.want and self.problem == "changed"
            else ""
        )
        return f"{self.file} is {self.problem}{digests}"


@dataclass(frozen=True)
class Version:
    """A version read from its manifest; `path` is its folder, and artifacts have absolute paths in it."""

    name: str
    number: int
    path: Path
    manifest: Manifest

    @classmethod
    def read(cls, name: str, number: int, path: Path) -> Version:
        """Read the version in the folder `path`. Raises TamperedError for a damaged manifest."""
        return cls(name, number, path, read_manifest(path))

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def record(self) -> Record:
        """All that the manifest holds besides golden data and the table of files."""
        return self.manifest.record

    @property
    def training_id(self) -> str:
        """The same for all versions that hold one training result."""
        return self.record.training_id

    @property
    def signature(self) -> Signature:
        """The source model's inputs and outputs."""
        return self.record.signature

    @property
    def source(self) -> Mapping[str, Any]:
        """Where the model came from: kind, location and what the exporter noted."""
        return self.record.source

    @property
    def reference(self) -> Artifact | None:
        """The source model itself, if it could be kept."""
        return self.record.reference

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Everything exported, in the order of the export."""
        return self.record.artifacts

    @property
    def agreement(self) -> Mapping[str, Any]:
        """The proof made at export time."""
        return self.record.agreement

    @property
    def created(self) -> str:
        """When it was published, UTC in ISO 8601."""
        return self.record.created

    @property
    def files(self) -> Mapping[str, FileFact]:
        """Every file but the manifest, by its path relative to the version."""
        return self.manifest.files

    @cached_property
    def golden(self) -> Golden:
        """The golden data, read once. Raises TamperedError unless the file is the one that was published."""
        for damage in self._damages(GOLDEN_FILE):
            raise self._tampered(damage)
        return read_golden(self.path / GOLDEN_FILE, self.manifest.golden)

    def artifact(self, name: str) -> Artifact:
        """Give the artifact of that format and variant, e.g. `onnx` or `tflite-int8`. Raises UsageError."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        known = ", ".join(a.name for a in self.artifacts) or "none"
        raise UsageError(f"{self} has no artifact {name!r}", hint=f"it has {known}; `deploy export` adds formats")

    def verify(self) -> tuple[Damage, ...]:
        """Read every file; give what is missing, extra or changed. Raises UnavailableError for one that may not be read."""
        return tuple(self._damages())

    def require_intact(self, artifact: Artifact) -> None:
        """Raise TamperedError, naming the file, unless the artifact is what was published; UnavailableError as `verify`."""
        for damage in self._damages(artifact.path.relative_to(self.path).as_posix()):
            raise self._tampered(damage)

    def require_files(self, folder: str) -> None:
        """Raise TamperedError, naming the file, unless all below a folder of the version is what was published."""
        for damage in self._damages(folder):
            raise self._tampered(damage)

    def _damages(self, *below: str) -> list[Damage]:
        """Compare the files at or below the relative paths (all, if none is given) with the manifest."""
        want = {name: fact.sha256 for name, fact in self.files.items() if not below or is_below(name, below)}
        got = {name: file for name, file in self._present().items() if not below or is_below(name, below)}
        strange = {path.relative_to(self.path).as_posix() for path in strange_files(self.path)}
        damages = []
        for name in sorted(want.keys() | got.keys()):
            if name not in got:
                damages.append(Damage(name, "missing", want=want[name]))
            elif name not in want:
                damages.append(Damage(name, "extra"))
            elif (digest := "" if name in strange else self._digest(got[name])) != want[name]:
                damages.append(Damage(name, "changed", want=want[name], got=digest))
        return damages

    def _digest(self, path: Path) -> str:
        try:
            return digest_of(path)
        except OSError as error:
            hint = "look at its permissions and at the disk; whoever wrote the store may read it"
            raise UnavailableError(f"{self} cannot be read: {error}", hint=hint) from error

    def _present(self) -> dict[str, Path]:
        paths = (p for p in self.path.rglob("*") if p.is_symlink() or not p.is_dir())
        present = {path.relative_to(self.path).as_posix(): path for path in paths}
        present.pop(MANIFEST_FILE, None)
        return present

    def _tampered(self, damage: Damage) -> TamperedError:
        return TamperedError(f"{self}: {damage}", hint="export it again, or restore the file from a copy")


def is_below(name: str, paths: Iterable[str]) -> bool:
    """Tell whether a file is one of the paths, or lies below one that is a folder; all relative to a version."""
    return any(name == path or name.startswith(f"{path}/") for path in paths)
