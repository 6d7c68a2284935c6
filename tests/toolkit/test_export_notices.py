"""What `deploy export` says of a model that it did not take as it was."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import ROOT, Deploy

SOURCE = ROOT / "tests" / "exporters" / "torch_models.py"
NOTICE = "the model was in train mode; exported in eval mode"


def test_a_model_in_train_mode_is_told_once_on_stderr(deploy: Deploy, tmp_path: Path) -> None:
    done = deploy("export", f"{SOURCE}:dropout", "--to", "torchscript", "--name", "net", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count(NOTICE) == 1
    assert json.loads(done.stdout)["version"] == 1
    (manifest,) = tmp_path.glob("models/net/1/manifest.json")
    assert NOTICE in manifest.read_text()
