"""Stores of small SavedModels for TensorFlow Serving and what stands in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from deploy_core.artifact import Artifact
from deploy_core.signature import Signature, TensorSpec
from deploy_model_store import Golden, Record, Store, Version

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 3)),), (TensorSpec("y", "float32", ("batch", 1)),))
WEIGHTS = np.array([1.0, 10.0, 100.0], dtype=np.float32)
# Of another size each, so that none can be taken for another.
SCALES = {"linear": (1.0, 2.0, 3.0), "other": (5.0,)}

_SAVE = """
import sys
import tensorflow as tf

for folder, scale in zip(sys.argv[1::2], map(float, sys.argv[2::2])):
    module = tf.Module()
    module.w = tf.Variable([[scale], [10 * scale], [100 * scale]])
    serve = tf.function(
        lambda x: {"y": tf.matmul(x, module.w)}, input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")]
    )
    tf.saved_model.save(module, folder, signatures={"serving_default": serve})
"""


def publish(store: Store, name: str, saved: Path, scale: float) -> Version:
    """Publish the SavedModel in the folder `saved`, which multiplies by `scale * WEIGHTS`."""
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    golden = Golden({"x": x}, {"y": (x @ (scale * WEIGHTS))[:, None].astype(np.float32)})
    with store.staging(name) as staged:
        path = staged / "savedmodel"
        saved.rename(path)
        return store.publish(
            staged, name, Record("a training", SIGNATURE, {}, (Artifact("savedmodel", path, SIGNATURE),)), golden
        )


def fill_pretended(root: Path) -> None:
    """linear@1, linear@2 (stable), linear@3 and other@1, whose SavedModels hold no model: for plans."""
    store = Store(root)
    for name, scales in SCALES.items():
        for number, scale in enumerate(scales, 1):
            saved = root / ".made"
            (saved / "variables").mkdir(parents=True)
            (saved / "saved_model.pb").write_bytes(b"no model")
            (saved / "variables" / "variables.index").write_bytes(b"no weights")
            publish(store, name, saved, scale)
            if (name, number) == ("linear", 2):
                store.set_alias(name, "stable", number)


def fill(root: Path) -> None:
    """The same with models."""
    store = Store(root)
    wanted = [(name, scale) for name, scales in SCALES.items() for scale in scales]
    folders = [root / ".made" / str(index) for index in range(len(wanted))]
    arguments = [str(part) for folder, (_, scale) in zip(folders, wanted, strict=True) for part in (folder, scale)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", _SAVE, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for folder, (name, scale) in zip(folders, wanted, strict=True):
        publish(store, name, folder, scale)
    store.set_alias("linear", "stable", 2)
