"""A store with the example models in every format, made once for all test processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import FORMATS, MODELS, ROOT, Deploy, run_deploy


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    return lambda *args, **env: run_deploy(*args, cwd=tmp_path, **env)


@pytest.fixture(scope="session")
def models(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The folder of a store with `MODELS`, exported on the command line."""

    def make(folder: Path) -> None:
        for name, source in MODELS.items():
            done = run_deploy(
                "export", ROOT / source, "--to", ",".join(FORMATS), "--name", name, "--store", folder, cwd=folder
            )
            assert done.returncode == 0, done.stderr

    return shared("models", make)
