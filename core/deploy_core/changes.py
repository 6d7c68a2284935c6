"""What a format could not keep of a tensor, and how to go between the source model's form and the file's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deploy_core.dtypes import is_float, numpy_dtype
from deploy_core.errors import InputError
from deploy_core.predictor import HasIntermediates, Intermediate, Predictor
from deploy_core.signature import Array, Signature, Tensors, TensorSpec


@dataclass(frozen=True)
class Change:
    """One tensor that a file has in another dtype or layout than the source model; `why` is for people.

    `axes` says where each axis of the file's tensor comes from: NCHW kept as NHWC is (0, 2, 3, 1); () is no change.
    With a `scale` the file holds integers: value = scale × (integer − zero_point), the rule of the TFLite quantisation
    specification.
    """

    tensor: str
    dtype: str
    axes: tuple[int, ...] = ()
    scale: float = 0.0
    zero_point: int = 0
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "tensor": self.tensor,
            "dtype": self.dtype,
            "axes": list(self.axes),
            "scale": self.scale,
            "zero_point": self.zero_point,
            "why": self.why,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Change:
        """Read what `to_json` wrote."""
        return cls(**{**data, "axes": tuple(data["axes"])})

    def spec(self, source: TensorSpec) -> TensorSpec:
        """Give the file's spec of the tensor."""
        shape = tuple(source.shape[axis] for axis in self.axes) or source.shape
        return TensorSpec(source.name, self.dtype, shape)

    def to_file(self, array: Array) -> Array:
        """Give an array as the file wants it. Raises InputError for integers that its dtype does not hold."""
        moved = np.ascontiguousarray(array.transpose(self.axes)) if self.axes else array
        limits = None if is_float(self.dtype) or self.dtype == "bool" else np.iinfo(numpy_dtype(self.dtype))
        if self.scale and limits is not None:
            steps = np.round(moved.astype(np.float64) / self.scale) + self.zero_point
            return np.clip(steps, limits.min, limits.max).astype(numpy_dtype(self.dtype))
        if limits is not None and moved.size and (moved.min() < limits.min or moved.max() > limits.max):
            raise InputError(
                f"input {self.tensor!r} holds {moved.min()} to {moved.max()}, the file takes {self.dtype}",
                hint=self.why,
            )
        return moved.astype(numpy_dtype(self.dtype), copy=False)

    def from_file(self, array: Array, dtype: str) -> Array:
        """Give the file's array as the source model would have: its layout, and `dtype`, which is the source's."""
        if self.scale:
            array = (array.astype(np.float64) - self.zero_point) * self.scale
        moved = np.ascontiguousarray(array.transpose(np.argsort(self.axes))) if self.axes else array
        return moved.astype(numpy_dtype(dtype), copy=False)


class Adapted:
    """A file with changes, asked and answering as its source model does."""

    def __init__(self, predictor: Predictor, signature: Signature, changes: Iterable[Change]) -> None:
        self.predictor = predictor
        self.signature = signature
        self._changes = {change.tensor: change for change in changes}

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        answer = dict(self.predictor.predict(self.as_file(inputs)))
        for spec in self.signature.outputs:
            if spec.name in self._changes:
                answer[spec.name] = self._changes[spec.name].from_file(answer[spec.name], spec.dtype)
        return answer

    def as_file(self, inputs: Tensors) -> dict[str, Array]:
        """Give inputs as the file wants them."""
        arrays = self.signature.conform(inputs)
        return {n: self._changes[n].to_file(a) if n in self._changes else a for n, a in arrays.items()}

    def close(self) -> None:
        """Let go of the file."""
        self.predictor.close()


class AdaptedInside(Adapted):
    """One that can be looked into."""

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside, in the form that the file has them, its outputs, too."""
        assert isinstance(self.predictor, HasIntermediates)
        return self.predictor.intermediates(self.as_file(inputs))


def adapted(predictor: Predictor, signature: Signature, changes: Iterable[Change]) -> Adapted:
    """Give a file with changes as its source model would be asked; what is inside of it stays as it is."""
    kind = AdaptedInside if isinstance(predictor, HasIntermediates) else Adapted
    return kind(predictor, signature, changes)


def changed(signature: Signature, changes: Iterable[Change]) -> Signature:
    """Give the signature that the file itself has."""
    by_name = {change.tensor: change for change in changes}
    specs = {
        side: tuple(by_name[s.name].spec(s) if s.name in by_name else s for s in getattr(signature, side))
        for side in ("inputs", "outputs")
    }
    return replace(signature, **specs)
