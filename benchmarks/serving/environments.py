"""Environments of their own for servers that are not ours."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy_core import child
from deploy_core.errors import UnavailableError

_SECONDS = 600.0


def python_of(name: str, packages: Sequence[str], folder: Path) -> Path:
    """Give the Python of an environment with exactly these packages pinned, made if it is not there. Raises UnavailableError."""
    digest = hashlib.sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:8]
    place = folder / f"{name.lower()}-{digest}"
    python, done = place / "bin" / "python", place / "complete"
    if not done.exists():
        print(f"making an environment for {name}: {' '.join(packages)}", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        done.touch()
    return python


def _run(command: Sequence[str]) -> None:
    said = child.output(command, seconds=_SECONDS, env={"PYTHONPATH": "", "PIP_NO_INPUT": os.environ.get("CI", "1")})
    if said.code:
        raise UnavailableError(f"`{' '.join(command[-3:])}` failed: {said.last}", hint="is there a package registry?")
