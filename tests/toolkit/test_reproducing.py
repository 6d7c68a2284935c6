"""The script that shows one operator alone, of a file whose names somebody else chose."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_toolkit.flows.check import reproducing

OPERANDS: Any = SimpleNamespace(
    other=SimpleNamespace(operator='Add{1 / 0}"\\', attributes={'a"""b': '"""\nraise SystemExit(8)'}),
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
    assert "raise SystemExit(8)" in told
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


ANSWER = """import sys
from pathlib import Path

import numpy as np


def answer(model, inputs):
    return inputs["x"]
"""
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("limit", "got", "code"),
    [
        (INF, [1.0, 2.0], 0),
        (0.5, [1.0, 2.0], 0),
        (0.5, [1.0, 2.6], 1),
        (0.5, [1.0, NAN], 1),
        (0.5, [1.0, INF], 1),
        (NAN, [1.0, 2.0], 1),
    ],
)
def test_script_runs_whatever_is_tolerated(tmp_path: Path, limit: float, got: list[float], code: int) -> None:
    operands: Any = SimpleNamespace(
        other=SimpleNamespace(operator="Add", attributes={}), one=SimpleNamespace(weights={}),
        inputs={"x": np.float32([*got, NAN, INF])}, expected=np.float32([1, 2, NAN, INF]), limit=limit,
    )  # fmt: skip
    reproducing._write(tmp_path, WAY, b"model", operands, operands.inputs["x"])
    script = reproducing._script(WAY, operands, "said", subject="net.onnx", reference="net@1", run=ANSWER)
    (tmp_path / "reproduce.py").write_text(script)
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(tmp_path / "reproduce.py"), run_name="__main__")
    assert done.value.code == code


def test_what_numpy_cannot_write_is_written_in_float32(tmp_path: Path) -> None:
    array = np.arange(3).astype(ml_dtypes.bfloat16)
    operands: Any = SimpleNamespace(one=SimpleNamespace(weights={}), inputs={"x": array}, expected=array)
    reproducing._write(tmp_path, WAY, b"model", operands, array)
    for name, key in (("inputs", "input0"), ("expected", "expected"), ("got", "got")):
        with np.load(tmp_path / f"{name}.npz") as arrays:
            np.testing.assert_array_equal(arrays[key], np.float32([0, 1, 2]))
