"""How raw bytes become a model's input: declared steps, as plain data, and what runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.errors import InputError, UnavailableError, UsageError
from deploy_core.preprocessing import declared, running
from deploy_core.preprocessing.resizing import resize
from deploy_core.signature import BATCH, Array, Signature, Tensors, TensorSpec

Step = Mapping[str, Any]
# What an archive carries to run steps by itself; the file `deploy_raw.json` holds steps and labels.
MODULES = {
    "deploy_resizing.py": Path(__file__).with_name("resizing.py"),
    "deploy_running.py": Path(__file__).with_name("running.py"),
}
DOCUMENT = "deploy_raw.json"
_HINT = "send one whole file, as it lies on the disk"


@dataclass(frozen=True)
class Raw:
    """The steps that make the one input `input` of raw bytes, and the labels of an output, if there are any."""

    steps: tuple[Step, ...]
    input: str
    labels: tuple[str, ...] = ()
    output: str = ""  # the one that is labelled

    def stages(self, data: bytes) -> Iterator[Array]:
        """Give what the bytes are after each step. Raises InputError."""
        try:
            yield from running.stages(self.steps, data, resize)
        except ValueError as error:
            raise InputError(f"the bytes cannot be prepared: {error}", hint=_HINT) from error

    def inputs(self, files: Sequence[bytes]) -> Tensors:
        """Give the inputs for some files, one behind the other along the first axis. Raises InputError."""
        try:
            arrays = [np.ascontiguousarray(running.prepared(self.steps, data, resize)) for data in files]
            return {self.input: arrays[0] if len(arrays) == 1 else np.concatenate(arrays)}
        except ValueError as error:
            raise InputError(f"the bytes cannot be prepared: {error}", hint=_HINT) from error

    def signature(self, signature: Signature) -> Signature:
        """Give the signature that raw bytes have: the input is a string for each file."""
        return Signature((TensorSpec(self.input, "string", (BATCH,)),), signature.outputs)

    def answer(self, outputs: Tensors) -> dict[str, float]:
        """Give the likeliest labels of the first row with their scores."""
        return running.labelled(outputs[self.output], self.labels)

    def to_json(self) -> dict[str, Any]:
        """Give plain data for `from_json`, and for the handler of an archive."""
        return {
            "input": self.input,
            "steps": [dict(step) for step in self.steps],
            "labels": list(self.labels),
            "output": self.output,
        }

    def require(self) -> None:
        """Raise UnavailableError if the steps need Pillow and it is not installed."""
        needs = any(step["step"] == "decode" or step.get("as") == "pillow" for step in self.steps)
        if needs and find_spec("PIL") is None:
            raise UnavailableError("decoding images needs Pillow", hint="pip install 'deploy-toolkit[images]'")


def raw_of(preprocessing: Any, labels: Any) -> Raw | None:
    """Give what a manifest's fields `preprocessing` and `labels` say; None where no steps are declared."""
    if not preprocessing or not preprocessing.get("steps"):
        return None
    named = labels or {"output": "", "names": []}
    return Raw(tuple(preprocessing["steps"]), preprocessing["input"], tuple(named["names"]), named["output"])


def fitted(steps: Sequence[Step], named: str, signature: Signature) -> Raw:
    """Give the steps for a model. Raises UsageError unless they can make its one input."""
    inputs = [spec.name for spec in signature.inputs]
    if len(inputs) != 1 or named not in ("", *inputs):
        raise UsageError(
            f"preprocessing makes {named or 'one input'}, the model has {', '.join(inputs)}",
            hint="raw bytes can be prepared for a model with one input",
        )
    raw = Raw(tuple(steps), inputs[0])
    _require_fit(raw, signature)
    return raw


def _require_fit(raw: Raw, signature: Signature) -> None:
    """Raise UsageError unless an image of 2048 × 1536 becomes what the model takes; other bytes show when they come."""
    if raw.steps[0]["step"] != "decode":
        return
    raw.require()
    image: Array = np.zeros((1536, 2048, 3), np.uint8)
    try:
        image = running.finished(raw.steps, 1, image, resize)
        signature.conform({raw.input: image})
    except (ValueError, InputError) as error:
        given = f"{image.dtype.name} {list(image.shape)}"
        raise UsageError(
            f"the steps do not make what the model takes: {error}",
            hint=f"they make {given} of an image of 2048 × 1536, the model takes {signature.inputs[0]}",
        ) from error


def shown(steps: Sequence[Step]) -> str:
    """Give steps in one line."""
    return ", ".join(told(step) for step in steps)


def told(step: Step) -> str:
    """Give one step as people call it."""
    rest = {key: value for key, value in step.items() if key not in ("step", "table")}
    return f"{step['step']} ({', '.join(f'{key} {value}' for key, value in rest.items())})" if rest else step["step"]


read = declared.read
parsed = declared.parsed
