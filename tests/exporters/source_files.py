"""Model files as other tools write them, made inside a worker; each function writes one and gives where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def traced(folder: Path) -> Path:
    """Write TorchScript without a word on its inputs."""
    import torch_models

    from deploy_exporters import jit

    model, example = torch_models.heads_with_example()
    path = folder / "net.pt"
    jit.save(jit.trace(_Listed(model.eval()), example), path, None)
    return path


def onnx(folder: Path) -> Path:
    """Write ONNX whose batch is called N."""
    import onnx

    path = folder / "net.onnx"
    onnx.save(_onnx_heads(), str(path))
    return path


def external(folder: Path) -> Path:
    """Write ONNX with its weights in a file beside it."""
    import onnx

    path = folder / "net.onnx"
    onnx.save(_onnx_heads(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=64)
    return path


def savedmodel(folder: Path) -> Path:
    """Write a SavedModel as a server wants it."""
    import tensorflow as tf

    module = _tensorflow_heads()
    path = folder / "net"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.answer})
    return path


def signatures(folder: Path) -> Path:
    """Write a SavedModel with two signatures, neither of which a server would ask for."""
    import tensorflow as tf

    module = _tensorflow_heads()
    upper = tf.function(lambda text: {"loud": tf.strings.upper(text)})
    module.upper = upper.get_concrete_function(tf.TensorSpec([None], tf.string, name="text"))
    path = folder / "net"
    tf.saved_model.save(module, str(path), signatures={"heads": module.answer, "upper": module.upper})
    return path


def ragged(folder: Path) -> Path:
    """Write a SavedModel that takes a ragged tensor."""
    import tensorflow as tf

    module = tf.Module()
    length = tf.function(lambda words: {"length": words.row_lengths()})
    module.length = length.get_concrete_function(tf.RaggedTensorSpec([None, None], tf.int32))
    path = folder / "net"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.length})
    return path


def _Listed(model: Any) -> Any:  # noqa: N802  it makes a module
    import torch

    class Listed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(self.model(tokens, weight).values())

    return Listed()


def _weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        "words": random.standard_normal((11, 5)).astype(np.float32),
        "body": random.standard_normal((5, 4)).astype(np.float32),
    }


def _onnx_heads() -> Any:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Gather", ["words", "tokens"], ["looked_up"], axis=0),
        helper.make_node("ReduceMean", ["looked_up", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "weight"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "body"], ["scores"]),
    ]
    inputs = [("tokens", TensorProto.INT64, ["N", 7]), ("weight", TensorProto.FLOAT, ["N", 1])]
    outputs = [("scores", TensorProto.FLOAT, ["N", 4]), ("pooled", TensorProto.FLOAT, ["N", 5])]
    constants = {**_weights(), "axes": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "heads",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _tensorflow_heads() -> Any:
    import tensorflow as tf

    module = tf.Module()
    module.weights = {name: tf.Variable(array) for name, array in _weights().items()}

    def answer(tokens: Any, weight: Any) -> dict[str, Any]:
        pooled = tf.reduce_mean(tf.gather(module.weights["words"], tokens), axis=1) * weight
        return {"scores": tf.nn.softmax(pooled @ module.weights["body"]), "pooled": pooled}

    specs = [tf.TensorSpec([None, 7], tf.int32), tf.TensorSpec([None, 1], tf.float32)]
    module.answer = tf.function(answer, input_signature=specs)
    return module


def text(folder: Path) -> Path:
    """Write ONNX that joins strings."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("StringConcat", ["first", "second"], ["joined"])],
        "text",
        [helper.make_tensor_value_info(name, TensorProto.STRING, ["batch"]) for name in ("first", "second")],
        [helper.make_tensor_value_info("joined", TensorProto.STRING, ["batch"])],
    )
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    return path


def frozen(folder: Path) -> Path:
    """Write ONNX for batches of one row only."""
    import onnx

    model = _onnx_heads()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    path = folder / "net.onnx"
    onnx.save(model, str(path))
    return path


def scripted(folder: Path) -> Path:
    """Write TorchScript with a branch on the size of the batch, which torch.export freezes."""
    import torch_models

    from deploy_exporters import jit

    path = folder / "net.pt"
    jit.save(jit.script(torch_models.Branches()), path, None)
    return path


def numbered(folder: Path) -> Path:
    """Write TorchScript that takes a Python number beside its tensor."""
    import torch

    from deploy_exporters import jit

    class Numbered(torch.nn.Module):
        def forward(self, x: torch.Tensor, rate: int) -> torch.Tensor:
            return x * rate

    path = folder / "net.pt"
    jit.save(jit.script(Numbered()), path, None)
    return path
