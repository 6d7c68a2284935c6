"""The script that shows one operator alone, of a file whose names somebody else chose."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from deploy_toolkit.flows.check import reproducing

OPERANDS: Any = SimpleNamespace(
    other=SimpleNamespace(operator='Add{1 / 0}"\\'),
    one=SimpleNamespace(weights={}),
    inputs={'x"]': np.zeros(2, np.float32)},
    expected=np.ones(2, np.float32),
    limit=0.5,
)
WAY = reproducing._WAYS["onnx"]


def test_names_of_a_stranger_stay_text() -> None:
    text = reproducing._script(
        WAY, OPERANDS, 'at """ it', subject='a"""\nraise SystemExit(9)\n"""\\', reference="net@1", run="x = 1"
    )
    script = ast.parse(text)
    told = ast.get_docstring(script) or ""
    assert "raise SystemExit(9)" in told
    assert not any(isinstance(node, ast.Raise) for node in ast.walk(script))
    (operator,) = (
        ast.literal_eval(node.value)
        for node in script.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "operator"
    )
    assert operator == OPERANDS.other.operator
    assert "1 / 0" not in [ast.unparse(node) for node in ast.walk(script) if isinstance(node, ast.BinOp)]


def test_what_lies_in_the_folder_already_is_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):
        reproducing._write(tmp_path, WAY, b"model", OPERANDS, np.zeros(2, np.float32))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / WAY.file).read_bytes() == b"model"
