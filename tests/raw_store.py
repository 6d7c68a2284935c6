"""A small image model that is stored with its preprocessing and labels, made without an export."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core import preprocessing
from deploy_core.artifact import Artifact
from deploy_core.preprocessing import Raw
from deploy_core.signature import Array, Signature, TensorSpec
from deploy_model_store import Golden, Record, Store, Version

LABELS = ("cat", "dog", "bird", "fish", "frog", "cow", "bee")
SIGNATURE = Signature(
    (TensorSpec("image", "float32", ("batch", 3, 8, 8)),), (TensorSpec("scores", "float32", ("batch", len(LABELS))),)
)
STEPS = [
    {"step": "decode"},
    {"step": "resize", "as": "pillow", "filter": "bilinear", "size": 8},
    {"step": "scale", "by": "1/255"},
    {"step": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    {"step": "layout", "to": "CHW"},
    {"step": "batch"},
]
WEIGHTS = np.random.default_rng(0).normal(0, 0.1, (3 * 8 * 8, len(LABELS))).astype(np.float32)


def picture(height: int, width: int, seed: int) -> Any:
    rows, columns = np.mgrid[:height, :width]
    waves = 127 + 70 * np.sin(columns / 5 + seed)[..., None] * np.cos(rows / 4)[..., None] + np.array([40, 0, -40])
    return np.clip(waves + np.random.default_rng(seed).normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def jpeg(height: int, width: int, seed: int = 0) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture(height, width, seed)).save(file, "JPEG", quality=95)
    return file.getvalue()


def by_hand(data: bytes) -> Array:
    """What the steps make of an image, by Pillow and numpy."""
    from PIL import Image

    image = Image.open(io.BytesIO(data)).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((np.asarray(image) / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)


def scores_of(images: Array) -> Array:
    """What the model answers."""
    return images.reshape(len(images), -1) @ WEIGHTS


def top(scores: Array, count: int = 5) -> dict[str, float]:
    """The likeliest labels of one row."""
    return {LABELS[index]: float(scores[index]) for index in np.argsort(-scores)[:count]}


def write_onnx(path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(LABELS)])
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
    ]
    graph = helper.make_graph(nodes, "seen", [image], [scores], [numpy_helper.from_array(WEIGHTS, "w")])
    path.parent.mkdir(parents=True, exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def publish(store: Store, name: str, steps: list[dict[str, Any]], *, labels: bool = True) -> Version:
    """Publish the model with an ONNX file, which is its reference, too, and a .mar."""
    from deploy_exporters.steps.job import Job
    from deploy_exporters.steps.mar import mar_from_onnx

    declared, _ = preprocessing.parsed(steps, "here")
    raw = Raw(declared, "image", LABELS if labels else (), "scores" if labels else "")
    images = np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32)
    with store.staging(name) as staged:
        onnx, mar = staged / "onnx" / "model.onnx", staged / "mar" / f"{name}.mar"
        write_onnx(onnx)
        mar.parent.mkdir()
        mar_from_onnx(Job(onnx, mar, SIGNATURE, (), name, raw=raw.to_json()))
        artifacts = (Artifact("onnx", onnx, SIGNATURE), Artifact("mar", mar, SIGNATURE))
        (staged / "reference").mkdir()
        shutil.copyfile(onnx, staged / "reference" / "model.onnx")
        record = Record(
            "a training",
            SIGNATURE,
            {},
            artifacts,
            replace(artifacts[0], path=staged / "reference" / "model.onnx"),
            preprocessing={"input": "image", "steps": [dict(step) for step in declared]},
            labels={"output": "scores", "names": list(LABELS)} if labels else None,
        )
        golden = Golden({"image": images}, {"scores": scores_of(images)}, {"scores": 1e-6}, "as guessed")
        return store.publish(staged, name, record, golden)
