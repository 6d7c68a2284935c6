"""One question to a stored model, a file or an endpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy_core import state
from deploy_core.errors import TamperedError
from deploy_core.signature import Tensors
from deploy_exporters.worker import Workers
from deploy_model_store import Store
from deploy_toolkit.flows import subjects
from deploy_toolkit.flows.access import USUAL, Access
from deploy_toolkit.output import OnEvent, silent


def predict(
    subject: str,
    inputs: Mapping[str, object],
    *,
    store: Path,
    trust: bool = False,
    access: Access = USUAL,
    on_event: OnEvent = silent,
) -> Tensors:
    """Ask NAME[@…] (its first artifact), a file or an endpoint; files run in a worker of their own.

    `trust` lets a file run code of its own. Raises InputError if the inputs do not fit the signature, TamperedError if a stored file is not what was published.
    """
    named = subjects.find(subject, Store(store))
    access.require_fit(subjects.endpoints([named]))
    with Workers(state.logs()) as workers:
        asked = next(subjects.expand(named, workers, trust=trust, access=access))
        if asked.damage:
            raise TamperedError(f"{asked.name} is {asked.damage}", hint="export the model again")
        on_event(f"asking {asked.name}")
        predictor = asked.open()
        try:
            return predictor.predict(predictor.signature.conform(inputs))
        finally:
            predictor.close()


def to_json(subject: str, answer: Tensors) -> dict[str, Any]:
    """Give the document that `deploy predict --json` prints.

    What JSON has no form for is written as text (`"NaN"`, `"-Infinity"`, bytes with what is no UTF-8 escaped), a complex
    number as its two parts.
    """
    return {
        "schema": "deploy/predict/1",
        "subject": subject,
        "outputs": {
            name: {"shape": list(array.shape), "data": _plain(array.tolist())} for name, array in answer.items()
        },
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
