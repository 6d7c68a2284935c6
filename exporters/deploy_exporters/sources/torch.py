"""A trained torch model in memory, as a Predictor that also computes in float64."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from deploy_core.errors import ExportError, UsageError, reason
from deploy_core.predictor import Intermediate
from deploy_core.signature import BATCH, Array, Signature, Tensors, TensorSpec
from deploy_exporters.deploy_handler import DTYPES, flatten, to_tensor
from deploy_exporters.sources import Given, dimensions, examples, lightning_module
from deploy_exporters.torch_flat import Flat, call, check_arguments, flat, input_names


class TorchSource:
    """A torch model with named inputs and outputs, in eval mode on the CPU."""

    kind = "torch"

    def __init__(self, model: torch.nn.Module, signature: Signature, example: Tensors) -> None:
        self.model = model
        self.signature = signature
        self.example = example
        self.notices: tuple[str, ...] = ()  # what whoever exports it should know

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        return self._run(self.model, {name: to_tensor(a) for name, a in self.signature.conform(inputs).items()})

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer one batch with a copy of the model in double precision."""
        tensors = {name: to_tensor(array) for name, array in self.signature.conform(inputs).items()}
        return self._run(self._double, {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()})

    def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
        """Give d(Σ weights · outputs) / d(input) for every float input. Raises UsageError for what has no derivative."""
        tensors = {name: to_tensor(array) for name, array in self.signature.conform(inputs).items()}
        free = {name: tensor.requires_grad_() for name, tensor in tensors.items() if tensor.is_floating_point()}
        if not free:
            return {}
        try:
            with torch.enable_grad():
                total = self._weighted(tensors, weights)
            found = torch.autograd.grad(total, list(free.values()), allow_unused=True, materialize_grads=True)
        except RuntimeError as error:
            raise UsageError(f"the model has no derivative: {reason(error)}") from error
        return {name: to_array(gradient) for name, gradient in zip(free, found, strict=True)}

    def _weighted(self, tensors: Mapping[str, torch.Tensor], weights: Tensors) -> torch.Tensor:
        named = zip(self.signature.outputs, flatten(call(self.model, tensors)), strict=True)
        outputs = {spec.name: value for spec, (_, value) in named}
        parts = [(outputs[name] * to_tensor(weight)).sum() for name, weight in weights.items()]
        return torch.stack([part.real.double() for part in parts]).sum()

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside for one batch. Raises UsageError for a model that torch.export does not take."""
        from deploy_exporters.inside import program

        return program.of_source(self, self.signature.conform(inputs))

    def close(self) -> None:
        """Nothing is held but memory."""

    @cached_property
    def flat(self) -> Flat:
        """The model as converters want it."""
        return flat(self.model, [spec.name for spec in self.signature.inputs])

    def tensors(self, rows: int) -> tuple[torch.Tensor, ...]:
        """Give example inputs of that many rows, in order; of the example's own, if the batch is fixed."""
        return tuple(to_tensor(array) for array in self.signature.sized(self.example, {BATCH: rows}).values())

    @property
    def bytes(self) -> int:
        """The size of all weights and buffers."""
        return sum(tensor.nbytes for tensor in (*self.model.parameters(), *self.model.buffers()))

    def describe(self) -> dict[str, Any]:
        """Give the class, the number of parameters and the digest of the weights."""
        return {
            "class": f"{type(self.model).__module__}.{type(self.model).__qualname__}",
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "training_id": training_id(self.model.state_dict()),
        }

    @cached_property
    def _double(self) -> torch.nn.Module:
        return copy.deepcopy(self.model).double()

    def _run(self, model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> Tensors:
        with torch.no_grad():
            values = flatten(call(model, tensors))
        return {spec.name: to_array(value) for spec, (_, value) in zip(self.signature.outputs, values, strict=True)}


def open_torch(model: torch.nn.Module, given: Given, kind: type[TorchSource] | None = None) -> TorchSource:
    """Find out the signature of a model by running it. Raises UsageError, ExportError."""
    model = lightning_module.freed(model).cpu()
    was_training = model.training and kind is None  # what wraps a program of another kind is new, and always so
    if model.training:
        model.eval()
    named = _example(model, given)
    specs = given.inputs or tuple(TensorSpec.of(name, array) for name, array in named.items())
    source = (kind or TorchSource)(model, Signature(specs, ()), Signature(specs, ()).conform(named))
    source.signature = dimensions.told(
        specs, source.example, partial(_probe, source), given.outputs, static=given.static
    )
    examples.check_numbers(source.predict(source.example))
    source.notices = ("the model was in train mode; exported in eval mode",) if was_training else ()
    return source


def training_id(state: Mapping[str, Any]) -> str:
    """Give one digest for all weights and buffers."""
    whole = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        if isinstance(tensor, torch.Tensor):
            array = tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy()
            whole.update(f"{name}:{tensor.dtype}{list(tensor.shape)}".encode() + array.tobytes())
    return whole.hexdigest()


def to_array(tensor: torch.Tensor) -> Array:
    """Give a tensor as a numpy array; bfloat16 is the one of ml_dtypes."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def named_example(model: torch.nn.Module, example: object) -> dict[str, Array]:
    """Give example inputs by the names of forward's arguments; a single array is the first."""
    if isinstance(example, Mapping):
        return {str(name): _array(value) for name, value in example.items()}
    values = list(example) if isinstance(example, tuple | list) else [example]
    return dict(zip(input_names(model, len(values)), map(_array, values), strict=True))


def _example(model: torch.nn.Module, given: Given) -> dict[str, Array]:
    if given.example is None and not given.inputs:
        name = input_names(model, 1)[0]
        raise UsageError(
            "a torch model does not say what inputs it takes",
            hint=f"give --input '{name}:float32[batch,…]' or --example FILE.npz, or return (model, example inputs)",
        )
    examples.check_batch(given.inputs, static=given.static)
    if given.example is None:
        named = examples.from_specs(given.inputs, static=given.static)
    else:
        named = named_example(model, given.example)
    for name, array in named.items():
        if array.dtype.name not in DTYPES:
            raise UsageError(f"input {name!r} has dtype {array.dtype}", hint=f"torch takes {', '.join(DTYPES)}")
    check_arguments(model, [spec.name for spec in given.inputs] or list(named))
    return examples.at_least_two_rows(named, static=given.static)


def _probe(source: TorchSource, arrays: Tensors, *, after: Tensors | None = None) -> dict[str, Array]:
    tensors = {name: to_tensor(array) for name, array in arrays.items()}
    try:
        with torch.no_grad():
            answer = call(source.model, tensors)
    except Exception as error:
        if after is not None:
            raise ExportError(
                f"the model answers {examples.shown(after)} but not {examples.shown(arrays)}: {reason(error)}",
                hint="a size that should be free, such as the batch, is written into its forward; --static fixes them all",
            ) from error
        raise UsageError(
            f"the model cannot run on the example inputs {examples.shown(arrays)}: {reason(error)}",
            hint="check their shapes and dtypes; a model that takes one size of batch needs --static",
        ) from error
    return _named_outputs(answer)


def _named_outputs(answer: object) -> dict[str, Array]:
    try:
        values = flatten(answer)
    except ValueError as error:
        raise UsageError(str(error), hint="return tensors: one, or a dict, tuple or NamedTuple of them") from error
    named = {name: to_array(tensor) for name, tensor in values}
    if len(named) < len(values):
        raise UsageError(
            f"two outputs of the model have one name: {', '.join(n for n, _ in values)}", hint="rename one"
        )
    return named


def _array(value: object) -> Array:
    if isinstance(value, torch.Tensor):
        return to_array(value)
    if isinstance(value, np.ndarray):
        return value
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array  # as torch.tensor does with Python's floats
