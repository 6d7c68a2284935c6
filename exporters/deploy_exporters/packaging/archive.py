"""Zip archives whose bytes follow from their content alone, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkstemp

from deploy_core.errors import UnavailableError
from deploy_exporters.plain_zip import entry

SUMS = "SHA256SUMS"


def archive(top: str, files: Mapping[str, bytes]) -> bytes:
    """Give a zip of the files below one folder, in the order of their names, with their checksums."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as made:
        for name, content in sorted({**files, SUMS: checksums(files)}.items()):
            made.writestr(entry(f"{top}/{name}"), content)
    return body.getvalue()


def checksums(files: Mapping[str, bytes]) -> bytes:
    """Give the lines that `sha256sum --check` reads."""
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()


def write(path: Path, content: bytes) -> None:
    """Put a file in place in one step: an old one stays whole until then. Raises UnavailableError."""
    draft = ""
    try:
        descriptor, draft = mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be written: {error.strerror}", hint="choose another place with --out FILE|DIR"
        ) from error
    finally:
        if draft:
            Path(draft).unlink(missing_ok=True)
