from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
ASK = """
import sys, numpy as np
from pathlib import Path
from deploy_core.errors import InputError
from deploy_exporters.formats import load_file

predictor = load_file("onnx", Path(sys.argv[1]))
print(predictor.predict({"x": np.zeros((2, 3, 3), np.float32)})["y"].shape)
print(predictor.predict({"x": np.zeros((0, 3, 3), np.float32)})["y"].shape)
try:
    print(predictor.predict({"x": np.zeros((2, 0, 3), np.float32)})["y"].shape)
except InputError as error:
    print(error)
"""


def _recurrent(operator: str, path: Path) -> Path:
    random = np.random.default_rng(0)
    gates = 4 * GATES[operator]
    weights = [
        numpy_helper.from_array(random.normal(size=(1, gates, size)).astype(np.float32), name)
        for name, size in (("W", 3), ("R", 4))
    ]
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(operator, ["steps", "W", "R"], ["all"], hidden_size=4),
        helper.make_node("Transpose", ["all"], ["y"], perm=[2, 0, 1, 3]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "steps", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "steps", 1, 4])
    graph = helper.make_graph(nodes, operator, [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.mark.parametrize(
    ("operator", "without_steps"),
    [
        ("LSTM", "the inputs have steps = 0, which a recurrent model cannot be asked"),
        ("GRU", "the inputs have steps = 0, which a recurrent model cannot be asked"),
        ("RNN", "(2, 0, 1, 4)"),
    ],
)
def test_no_rows_do_not_end_the_process(operator: str, without_steps: str, tmp_path: Path) -> None:
    # In a process of its own: ONNX Runtime would end this one.
    path = _recurrent(operator, tmp_path / "model.onnx")
    done = subprocess.run([sys.executable, "-c", ASK, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(2, 3, 1, 4)", "(0, 3, 1, 4)", without_steps]
