"""The container engine for tests, and what they leave in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

import pytest

from deploy_servers.container import own_image


def require_engine() -> str:
    """Give the path of a Docker that answers."""
    engine = shutil.which("docker")
    if engine is None or _said(engine, "info", "--format={{.ServerVersion}}") is None:
        _missing("no Docker answers here (.ci/docker-here starts one)")
    assert engine is not None
    return engine


def require_image(engine: str, name: str) -> str:
    """Give the name of an image of ours that is there."""
    image = own_image(name)
    if _said(engine, "image", "inspect", "--format={{.Id}}", image) is None:
        _missing(f"there is no image {image} (`docker/build {name}` builds it)")
    return image


def left() -> set[str]:
    """Give the containers that see a temporary folder of this test process."""
    engine, ours = shutil.which("docker"), tempfile.gettempdir()
    listed = _said(engine or "", "ps", "--all", "--no-trunc", "--filter=label=deploy-toolkit", _FORMAT) or ""
    return {f"container {line}" for line in listed.splitlines() if ours in line}


_FORMAT = "--format={{.Names}} {{.Mounts}}"


def inspected(engine: str, container: str, what: str) -> str | None:
    """Give what the engine knows of a container, None if there is none."""
    return _said(engine, "container", "inspect", f"--format={what}", container)


def _said(engine: str, *words: str) -> str | None:
    try:
        done = subprocess.run([engine, *words], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _missing(why: str) -> None:
    if os.environ.get("DEPLOY_CI"):
        pytest.fail(why)
    pytest.skip(why)
