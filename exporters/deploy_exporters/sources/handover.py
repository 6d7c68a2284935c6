"""Hand a model in memory to the worker, as a file that it can open; no framework is imported that is not there already."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy_core.errors import UsageError
from deploy_core.signature import TensorSpec
from deploy_exporters.sources import HANDED_OVER, Given, Source, kind_of


def hand_over(
    model: object,
    folder: Path,
    example: Mapping[str, object] | object | None,
    inputs: Sequence[TensorSpec] = (),
    *,
    static: bool = False,
) -> Source:
    """Write a model in memory to `folder`, with its example inputs: .pt2 or .keras where that works, else by cloudpickle.

    `inputs` name dimensions that stay dynamic beside the batch; `static` fixes all of them.
    Raises UsageError if that cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = kind_of(model)
    given = Given(example, tuple(inputs), static=static)
    if kind in ("torch", "pt2"):
        return _torch_model(model, folder, given)
    if kind == "torchscript":
        return _script(model, folder, example)
    if kind == "keras":
        from deploy_exporters.sources import keras_handover

        return keras_handover.hand_over(model, _class(model), folder, given)
    return _pickled(model, folder, example)


def _torch_model(model: Any, folder: Path, given: Given) -> Source:
    """Write a torch.export program if there is an example to make it with; the caller's model is left as it is."""
    import torch

    from deploy_exporters import pt2
    from deploy_exporters.sources import examples, lightning_module
    from deploy_exporters.sources.torch import named_example, open_torch

    path = folder / "model.pt2"
    if isinstance(model, torch.export.ExportedProgram):
        torch.export.save(model, str(path))
        return Source(_class(model), folder, path=path, note="handed over as .pt2", example=given.example)
    if given.example is None:
        return _pickled(model, folder, None)
    with lightning_module.detached(model):
        own = copy.deepcopy(model).cpu().eval()
    named = examples.at_least_two_rows(named_example(own, given.example), static=given.static)
    try:
        source = open_torch(own, replace(given, example=named))
        with redirect_stderr(io.StringIO()):  # torch prints the whole graph of a model that it cannot take
            program = pt2.program(source)
    except Exception as error:
        return _pickled(model, folder, named, why=f"torch.export: {type(error).__name__}")
    pt2.save(program, path, source.signature)
    return Source(_class(model), folder, path=path, note="handed over as .pt2", example=named)


def _script(model: Any, folder: Path, example: object | None) -> Source:
    from deploy_exporters import jit

    path = folder / "model.pt"
    jit.save(model, path, None)
    return Source(_class(model), folder, path=path, note="handed over as TorchScript", example=example)


def _pickled(model: object, folder: Path, example: object | None, *, why: str = "") -> Source:
    import cloudpickle

    path = folder / f"model{HANDED_OVER}"
    try:
        with _detached(model):
            path.write_bytes(cloudpickle.dumps((model, example)))
    except Exception as error:
        raise UsageError(
            f"a {_class(model)} cannot be handed to the worker: {type(error).__name__}: {error}",
            hint="write it to a file (.keras, .pt2) or name it as file.py:attribute",
        ) from error
    return Source(_class(model), Path.cwd(), path=path, note=f"handed over by cloudpickle{why and f' ({why})'}")


def _detached(model: object) -> AbstractContextManager[None]:
    if kind_of(model) != "torch":
        return nullcontext()
    from deploy_exporters.sources import lightning_module

    return lightning_module.detached(model)  # type: ignore[arg-type]  # a torch module, as kind_of found


def _class(model: object) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"
