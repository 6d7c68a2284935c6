"""A store of small models with tensors of many kinds, for tests of Triton."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from server_store import fill_store

from deploy_core.artifact import Artifact
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_model_store import Golden, Record, Store, Version

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'
MANY = """many (int64[batch, seq] ids, bool[batch, seq] mask, float16[batch, 2] half)
    => (int64[batch, seq] more, bool[batch, seq] flipped, float16[batch, 2] twice, uint8[batch, seq] bytes)
{ more = Add(ids, ids) flipped = Not(mask) twice = Add(half, half) bytes = Cast<to = 2>(mask) }"""
TOTAL = (
    "total (float[n, 2] x) => (float[2] y) { axis = Constant<value_ints = [0]>() y = ReduceSum<keepdims = 0>(x, axis) }"
)
TEXT = "text (string[batch, 2] x) => (string[batch, 2] y) { y = Identity(x) }"
SCALAR = "scalar (float[batch, 2] x, float by) => (float[batch, 2] y) { y = Mul(x, by) }"


def spec(text: str) -> TensorSpec:
    """Read a spec."""
    return TensorSpec.parse(text)


MANY_SIGNATURE = Signature(
    (spec("ids:int64[batch,seq]"), spec("mask:bool[batch,seq]"), spec("half:float16[batch,2]")),
    tuple(
        map(
            spec,
            ("more:int64[batch,seq]", "flipped:bool[batch,seq]", "twice:float16[batch,2]", "bytes:uint8[batch,seq]"),
        )
    ),
)
MANY_INPUTS: Tensors = {
    "ids": np.array([[1, -(2**60), 3], [4, 5, 6]]),
    "mask": np.array([[True, False, True], [False, False, True]]),
    "half": np.array([[1.5, 2], [0.25, -4]], np.float16),
}
MANY_OUTPUTS: Tensors = {
    "more": MANY_INPUTS["ids"] * 2,
    "flipped": ~MANY_INPUTS["mask"],
    "twice": MANY_INPUTS["half"] * 2,
    "bytes": MANY_INPUTS["mask"].astype(np.uint8),
}
X = np.arange(6, dtype=np.float32).reshape(3, 2)
WORDS = np.array([[b"one", b"two"]], dtype=object)


def fill(root: Path) -> None:
    """What `fill_store` has, and many@1, total@1 (no batch), text@1 (strings), scalar@1, halves@1 and @2 (other tensors)."""
    fill_store(root)
    store = Store(root)
    publish(store, "many", MANY, MANY_SIGNATURE, MANY_INPUTS, MANY_OUTPUTS)
    plain = Signature((spec("x:float32[n,2]"),), (spec("y:float32[2]"),))
    publish(store, "total", TOTAL, plain, {"x": X}, {"y": X.sum(axis=0)})
    texts = Signature((spec("x:string[batch,2]"),), (spec("y:string[batch,2]"),))
    publish(store, "text", TEXT, texts, {"x": WORDS}, {"y": WORDS})
    scaled = Signature((spec("x:float32[batch,2]"), spec("by:float32[]")), (spec("y:float32[batch,2]"),))
    publish(store, "scalar", SCALAR, scaled, {"x": X, "by": np.array(2, np.float32)}, {"y": X * 2})
    publish(store, "halves", TOTAL, plain, {"x": X}, {"y": X.sum(axis=0)})
    publish(store, "halves", TEXT, texts, {"x": WORDS}, {"y": WORDS})


def publish(store: Store, name: str, text: str, signature: Signature, inputs: Tensors, outputs: Tensors) -> Version:
    """Store an ONNX file that is written as text."""
    from onnx import parser, save

    with store.staging(name) as staged:
        path = staged / "onnx" / "model.onnx"
        path.parent.mkdir(parents=True)
        save(parser.parse_model(HEAD + text), path)
        return store.publish(
            staged,
            name,
            Record("a training", signature, {}, (Artifact("onnx", path, signature),)),
            Golden(inputs, outputs),
        )


same = partial(np.testing.assert_array_equal, strict=True)
