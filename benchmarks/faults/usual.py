"""The usual check: one random input through both, `numpy.allclose` on the one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deploy_core.errors import DeployError
from deploy_model_store import Store
from deploy_toolkit.flows import subjects

if TYPE_CHECKING:
    from benchmarks.faults.ground import Ground
    from deploy_core.signature import Tensors

TIGHT = (1e-5, 1e-5)  # rtol and atol, as most have them
LOOSE = (1e-3, 1e-5)  # as tutorials of the exporters have them


def usual(ground: Ground, model: str, subject: str, *, trust: bool = False) -> dict[tuple[float, float], bool]:
    """Tell for each tolerance whether the usual check says that all is well; an error says that it is not."""
    from benchmarks.faults.models import random_inputs

    inputs = random_inputs(model)
    want = answers(ground, model, inputs)
    named = subjects.find(subject, Store(ground.store))
    try:
        predictor = next(subjects.expand(named, ground.workers, trust=trust)).open()
        try:
            got = predictor.predict(inputs)
        finally:
            predictor.close()
    except DeployError:
        return dict.fromkeys((TIGHT, LOOSE), False)
    return {each: _close(want, got, *each) for each in (TIGHT, LOOSE)}


def answers(ground: Ground, model: str, inputs: Tensors) -> Tensors:
    """Ask the honest model in memory."""
    import torch

    with torch.inference_mode():
        outputs = ground.model(model)(*(torch.from_numpy(array) for array in inputs.values()))
    return {name: value.numpy() for name, value in outputs.items()}


def _close(want: Tensors, got: Tensors, rtol: float, atol: float) -> bool:
    try:
        return all(np.allclose(got[name], want[name], rtol=rtol, atol=atol) for name in want)
    except (KeyError, ValueError):  # another name, or a shape that does not fit: whoever runs the check sees that
        return False
