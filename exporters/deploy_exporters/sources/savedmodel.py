"""One signature of a SavedModel as a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from deploy_core.artifact import digest_of
from deploy_core.errors import UsageError, reason
from deploy_core.predictor import Intermediate
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_exporters.formats.savedmodel import SIGNATURE, spec_of
from deploy_exporters.sources import Given, Source, probing


@dataclass(frozen=True)
class Function:
    """A signature of a SavedModel: the function, and the model that keeps its variables alive."""

    path: Path
    name: str
    model: Any

    @property
    def inputs(self) -> Mapping[str, Any]:
        """TensorFlow's own specs of the inputs, by name."""
        found: Mapping[str, Any] = self.model.signatures[self.name].structured_input_signature[1]
        return found

    @property
    def outputs(self) -> Mapping[str, Any]:
        """TensorFlow's own specs of the outputs, by name."""
        found: Mapping[str, Any] = self.model.signatures[self.name].structured_outputs
        return found

    def __call__(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call the signature with tensors by name."""
        answer: Mapping[str, Any] = self.model.signatures[self.name](**tensors)
        return answer


class SavedModelSource:
    """A SavedModel called by one of its signatures; TensorFlow has no float64 for it."""

    kind = "savedmodel"

    def __init__(self, function: Function, own_outputs: Sequence[str], signature: Signature, example: Tensors) -> None:
        self.function = function
        self.signature = signature
        self.example = example
        self.own_outputs = dict(zip((spec.name for spec in signature.outputs), own_outputs, strict=True))

    @property
    def is_ours(self) -> bool:
        """Whether the folder is what we would write: one signature, of the name that servers ask for, with our names."""
        renamed = any(ours != own for ours, own in self.own_outputs.items())
        return list(self.function.model.signatures) == [SIGNATURE] and not renamed

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        answer = _asked(self.function, list(self.own_outputs.values()), self.signature.conform(inputs))
        return {name: answer[own] for name, own in self.own_outputs.items()}

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Refuse. Raises UsageError."""
        raise UsageError("a SavedModel cannot be computed in float64")

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside. Raises UsageError for a signature whose variables cannot be made constants."""
        from deploy_exporters.inside import savedmodel

        function = self.function.model.signatures[self.function.name]
        return savedmodel.intermediates(function, self.signature.conform(inputs), list(self.own_outputs.values()))

    def close(self) -> None:
        """Nothing is held but memory."""

    def describe(self) -> dict[str, Any]:
        """Give the name of the signature and the digest of the folder."""
        return {"training_id": digest_of(self.function.path), "signature": self.function.name}


def read(source: Source) -> Function:
    """Load a SavedModel and choose its signature. Raises UsageError."""
    try:
        model = tf.saved_model.load(str(source.file))
    except Exception as error:
        raise UsageError(
            f"{source.file} cannot be read as a SavedModel: {reason(error)}", hint="write it again"
        ) from error
    name = source.signature or SIGNATURE
    if name not in model.signatures:
        known = ", ".join(model.signatures) or "none: save it with signatures={'serving_default': …}"
        raise UsageError(f"{source.file} has no signature {name!r}", hint=f"--signature takes one of {known}")
    return Function(source.file, name, model)


def open_savedmodel(model: Function, given: Given) -> SavedModelSource:
    """Find out the shapes of a signature. Raises UsageError, ExportError."""
    _require_no_pieces(model)
    by_name = {spec.name: spec for spec in given.inputs}
    specs = tuple(_spec(name, tensor, by_name.get(name)) for name, tensor in sorted(model.inputs.items()))
    for name, tensor in model.outputs.items():
        _require_tensor(name, tensor)
    own = probing.in_order(sorted(model.outputs), given.outputs)
    signature, rows = probing.signature_of(specs, partial(_asked, model, own), given)
    return SavedModelSource(model, own, signature, rows)


def _asked(function: Function, outputs: Sequence[str], arrays: Tensors) -> dict[str, np.ndarray[Any, Any]]:
    dtypes = {name: tensor.dtype for name, tensor in function.inputs.items()}
    answer = function({name: tf.constant(array, dtypes[name]) for name, array in arrays.items()})
    return {name: np.asarray(answer[name]) for name in outputs}


def _spec(name: str, tensor: Any, given: TensorSpec | None) -> TensorSpec:
    _require_tensor(name, tensor)
    if tensor.shape.rank is None:
        if given is None:
            raise UsageError(
                f"input {name!r} of the SavedModel has no known rank",
                hint=f"give --input '{name}:{tensor.dtype.name}[batch,…]'",
            )
        return TensorSpec(name, tensor.dtype.name, given.shape)
    return spec_of(name, tensor)


def _require_no_pieces(model: Function) -> None:
    """Raise UsageError for a ragged or sparse tensor, which TensorFlow takes to pieces `x`, `x_1`, … in a signature."""
    pieces = [name for name in model.inputs if f"{name}_1" in model.inputs]
    if not pieces:
        return
    file = saved_model_pb2.SavedModel()
    file.ParseFromString((model.path / "saved_model.pb").read_bytes())
    functions = file.meta_graphs[0].object_graph_def.concrete_functions.values()
    told = "".join(str(function.canonicalized_input_signature) for function in functions)
    if kind := next((kind for kind in ("RAGGED", "SPARSE") if f"{kind}_TENSOR_SPEC" in told), ""):
        raise UsageError(
            f"input {pieces[0]!r} of the SavedModel is a {kind.lower()} tensor, and only plain ones can be sent to a server",
            hint="save a signature that takes plain tensors and makes the ragged or sparse one itself",
        )


def _require_tensor(name: str, tensor: Any) -> None:
    if not isinstance(tensor, tf.TensorSpec) and not isinstance(tensor, tf.Tensor):
        raise UsageError(
            f"{name!r} of the SavedModel is a {type(tensor).__name__}, and only plain tensors can be sent to a server",
            hint="save a signature that takes the flat values and makes the ragged or sparse tensor itself",
        )
