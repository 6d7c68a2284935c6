"""Documents that no example model gives."""

from __future__ import annotations

import json

import numpy as np

from deploy_toolkit.flows import predict


def test_a_prediction_is_json_whatever_its_values() -> None:
    answer = {
        "floats": np.array([1.5, np.nan, np.inf, -np.inf], np.float32),
        "complex": np.array([[1 - 2j]], np.complex64),
        "scalar": np.array(np.nan),
        "text": np.array(["é".encode(), b"\xff"], object),
        "flags": np.array([True]),
    }
    document = predict.to_json("net", answer)
    text = json.dumps(document, allow_nan=False)
    assert {name: output["data"] for name, output in json.loads(text)["outputs"].items()} == {
        "floats": [1.5, "NaN", "Infinity", "-Infinity"],
        "complex": [[[1.0, -2.0]]],
        "scalar": "NaN",
        "text": ["é", "\\xff"],
        "flags": [True],
    }
