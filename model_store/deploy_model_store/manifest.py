"""manifest.json: what a version holds, with sha256 and size of every file, sealed by a digest of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_core.artifact import digest_of, files_of
from deploy_core.errors import DeployError, TamperedError, UsageError
from deploy_model_store.record import SCHEMA, Record

MANIFEST_FILE = "manifest.json"
_HINT = "publish the version again, or restore the file from a copy"


@dataclass(frozen=True)
class FileFact:
    """What a file was when it was published."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What manifest.json holds; `files` are keyed by path relative to the version, `golden` is for `read_golden`."""

    record: Record
    golden: Mapping[str, Any]
    files: Mapping[str, FileFact]


def write_manifest(folder: Path, record: Record, golden: Mapping[str, Any]) -> None:
    """Write the manifest of everything that lies in `folder`. Raises UsageError for what is neither file nor folder."""
    data = record.to_json(folder) | {"golden": dict(golden), "files": _table(folder)}
    (folder / MANIFEST_FILE).write_text(_render(data | {"seal": _seal(data)}), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest. Raises TamperedError unless it is byte for byte what was written."""
    path = folder / MANIFEST_FILE
    data = _parse(path)
    _check_schema(path, data)
    if not _is_sealed(path, data):
        raise TamperedError(f"{path} is not what was published", hint=_HINT)
    try:
        return Manifest(
            record=Record.from_json(data, folder),
            golden=data["golden"],
            files={name: FileFact(**fact) for name, fact in data["files"].items()},
        )
    except (KeyError, TypeError, AttributeError, DeployError) as error:
        raise TamperedError(f"{path} cannot be used: {error}", hint=_HINT) from error


def strange_files(folder: Path) -> list[Path]:
    """Give what is neither a plain file nor a folder below `folder`: a link could lead anywhere tomorrow."""
    return sorted(p for p in folder.rglob("*") if p.is_symlink() or not (p.is_file() or p.is_dir()))


def _table(folder: Path) -> dict[str, dict[str, Any]]:
    if strange := strange_files(folder):
        raise UsageError(f"{strange[0]} is neither a file nor a folder", hint="put the file itself into the version")
    return {
        file.relative_to(folder).as_posix(): {"sha256": digest_of(file), "bytes": file.stat().st_size}
        for file in files_of(folder)
        if file != folder / MANIFEST_FILE
    }


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TamperedError(f"{path} cannot be read: {error}", hint=_HINT) from error
    if not isinstance(data, dict):
        raise TamperedError(f"{path} holds no manifest", hint=_HINT)
    return data


def _check_schema(path: Path, data: Mapping[str, Any]) -> None:
    schema = data.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise UsageError(
            f"{path} has schema version {schema}, this deploy-toolkit knows up to {SCHEMA}",
            hint="pip install --upgrade deploy-toolkit",
        )


def _is_sealed(path: Path, data: dict[str, Any]) -> bool:
    unsealed = {key: value for key, value in data.items() if key != "seal"}
    # Rendering again finds changes that the parsed data do not show, such as a key given twice.
    return data.get("seal") == _seal(unsealed) and path.read_bytes() == _render(data).encode()


def _seal(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(_render(data).encode()).hexdigest()


def _render(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1, sort_keys=False, ensure_ascii=False, allow_nan=False) + "\n"
