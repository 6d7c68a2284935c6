"""The `deploy` command as a user runs it, and the example models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORMATS = ("torchscript", "mar", "onnx", "savedmodel", "tflite")
MODELS = {
    "simplenet": "examples/simplenet.py:torch_net",
    "simplenet-keras": "examples/simplenet.py:keras_net",
    "simplenet-twin": "examples/simplenet.py:keras_twin",
    "simplecnn": "examples/simplecnn.py:torch_net",
    "simplecnn-keras": "examples/simplecnn.py:keras_net",
    "simplecnn-twin": "examples/simplecnn.py:keras_twin",
}
Deploy = Callable[..., "subprocess.CompletedProcess[str]"]


def run_deploy(*args: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the `deploy` command as a user does."""
    command = [sys.executable, "-W", "error", "-m", "deploy_toolkit.cli", *map(str, args)]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=300
    )
