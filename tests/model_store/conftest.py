"""A small store: three artifacts of a few bytes each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy_core.artifact import Artifact
from deploy_core.signature import Signature, TensorSpec
from deploy_model_store import Golden, Record, Store, Version

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 6)),), (TensorSpec("y", "float32", ("batch", 1)),))


def _golden() -> Golden:
    return Golden(
        inputs={"x": np.arange(12, dtype=np.float32).reshape(2, 6)},
        outputs={"y": np.array([[1.0], [2.0]], np.float32)},
        noise={"y": 1.25e-7},
        noise_origin="|float32 − float64|, 64 rows",
    )


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _fill(staged: Path, data: bytes = b"onnx") -> Record:
    """Write artifacts into a staging folder; give their record."""
    onnx = _write(staged / "onnx" / "model.onnx", data)
    _write(staged / "savedmodel" / "saved_model.pb", b"graph")
    _write(staged / "savedmodel" / "variables" / "variables.index", b"index")
    mar = _write(staged / "mar" / "net.mar", b"zip")
    reference = _write(staged / "reference" / "model.pt2", b"source")
    return Record(
        training_id="t-1",
        signature=SIGNATURE,
        source={"kind": "torch", "location": "net.py:net"},
        artifacts=(
            Artifact("onnx", onnx, SIGNATURE, route=("torch-onnx",), options={"opset": "20"}, tools={"torch": "2.13"}),
            Artifact("savedmodel", staged / "savedmodel", SIGNATURE),
            Artifact("mar", mar, SIGNATURE),
        ),
        reference=Artifact("pt2", reference, SIGNATURE),
        agreement={"schema": "deploy/agreement/1", "ok": True},
    )


@pytest.fixture
def fill() -> Callable[..., Record]:
    return _fill


@pytest.fixture
def golden_data() -> Golden:
    return _golden()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def publish(store: Store) -> Callable[..., Version]:
    def one(name: str = "net", data: bytes = b"onnx") -> Version:
        with store.staging(name) as staged:
            return store.publish(staged, name, _fill(staged, data), _golden())

    return one
