"""SavedModel, run by TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.errors import UsageError
from deploy_core.predictor import Intermediate
from deploy_core.signature import BATCH, Signature, Tensors, TensorSpec
from deploy_exporters.formats.option import Options

FILE = ""
LIBRARY = "tensorflow"
OPTIONS: Options = {}
SIGNATURE = "serving_default"


class Loaded:
    """The serving signature of a SavedModel."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self.signature = signature
        self._model = model  # its variables live as long as it does
        self._function = model.signatures[SIGNATURE]

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        import tensorflow as tf

        arrays = self.signature.conform(inputs)
        tensors = {spec.name: tf.constant(arrays[spec.name], tf.as_dtype(spec.dtype)) for spec in self.signature.inputs}
        outputs = self._function(**tensors)
        return {spec.name: np.asarray(outputs[spec.name]) for spec in self.signature.outputs}

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside. Raises UsageError for a signature whose variables cannot be made constants."""
        from deploy_exporters.inside import savedmodel

        names = [spec.name for spec in self.signature.outputs]
        return savedmodel.intermediates(self._function, self.signature.conform(inputs), names)

    def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
        """Give d(Σ weights · outputs) / d(input) for every float input. Raises UsageError for what has no derivative."""
        from deploy_exporters.tensorflow_gradient import gradient

        return gradient(lambda tensors: self._function(**tensors), self.signature.conform(inputs), weights)

    def close(self) -> None:
        """Let go of the model."""
        self._model = self._function = None


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Loaded:
    """Load a SavedModel; `threads` holds for all of TensorFlow, and only before its first operation."""
    import tensorflow as tf

    if threads is not None:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = tf.saved_model.load(str(path))
    if SIGNATURE not in model.signatures:
        known = ", ".join(model.signatures) or "none"
        raise UsageError(f"{path} has no signature {SIGNATURE!r}", hint=f"its signatures are: {known}")
    return Loaded(model, signature or _signature(model.signatures[SIGNATURE]))


def _signature(function: Any) -> Signature:
    from deploy_exporters.exact_names import argument_name

    # TensorFlow calls the arguments by identifiers; the exact names of ours are the keywords that it takes.
    exact = {argument_name(keyword): keyword for keyword in function._arg_keywords}
    inputs = {exact.get(name, name): tensor for name, tensor in function.structured_input_signature[1].items()}
    return Signature(_specs(inputs), _specs(function.structured_outputs))


def _specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(spec_of(name, tensors[name]) for name in sorted(tensors))


def spec_of(name: str, tensor: Any) -> TensorSpec:
    """Give our spec of one of TensorFlow's. Raises UsageError for a tensor of unknown rank."""
    if tensor.shape.rank is None:
        raise UsageError(f"{name!r} of the SavedModel has no known rank", hint="export it with a full signature")
    dims = tuple(BATCH if axis == 0 else f"{name}_{axis}" for axis in range(tensor.shape.rank))
    shape = tuple(dim if size is None else int(size) for dim, size in zip(dims, tensor.shape.as_list(), strict=True))
    return TensorSpec(name, tensor.dtype.name, shape)
