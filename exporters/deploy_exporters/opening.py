"""Open a source inside a worker: import it, call it if it is a function, find out what it is."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from deploy_core.errors import DeployError, ExportError, UnavailableError, UsageError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_exporters.sources import Source, kind_of


class Opened(Protocol):
    """What both kinds of source models can do."""

    kind: str
    signature: Signature
    example: Tensors

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer one batch in double precision."""

    def describe(self) -> dict[str, Any]:
        """Give what the manifest says of the source."""


def open_source(
    source: Source, example: Tensors | None, inputs: Sequence[TensorSpec], outputs: Sequence[str]
) -> Opened:
    """Open a source. Raises UsageError if there is no model, ExportError if it cannot answer."""
    suffix = source.path.suffix if source.path is not None else ""
    if suffix in _READERS and source.path is not None:
        model, own = _READERS[suffix](source.path), source.example
    else:
        model, own = _model_and_example(source)
    given = example if example is not None else own
    if kind_of(model) == "keras":
        from deploy_exporters.keras_source import open_keras

        return open_keras(model, given, inputs, outputs)
    from torch.export import ExportedProgram

    from deploy_exporters import pt2
    from deploy_exporters.torch_source import open_torch

    if not isinstance(model, ExportedProgram):
        return open_torch(model, given, inputs, outputs)
    told = pt2.told(model)
    specs = tuple(inputs) or told.inputs
    _require_free_batch(source, specs)
    return open_torch(pt2.Program(model), given, specs, outputs or [spec.name for spec in told.outputs])


def _require_free_batch(source: Source, specs: Sequence[TensorSpec]) -> None:
    for spec in specs:
        if spec.shape and isinstance(spec.shape[0], int):
            raise ExportError(
                f"the batch of {source.location} is frozen: it takes {spec}",
                hint="export it with dynamic_shapes=({0: torch.export.Dim.DYNAMIC}, …)",
            )


def _read_pt2(path: Path) -> Any:
    from deploy_exporters import pt2

    try:
        return pt2.load(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"{path} cannot be read as a torch.export program: {reason}", hint="it may be truncated; write it again"
        ) from error


def _read_keras(path: Path) -> Any:
    from deploy_exporters import keras_file

    return keras_file.read(path)


_READERS: Mapping[str, Callable[[Path], Any]] = {".pt2": _read_pt2, ".keras": _read_keras}


def _model_and_example(source: Source) -> tuple[Any, object | None]:
    if source.attribute:
        found = _attribute(source)
    elif source.path is not None:
        sys.path.insert(0, str(source.folder))
        found = pickle.loads(source.path.read_bytes())  # written by our own hand_over a moment ago
    if kind_of(found) is None and callable(found) and not isinstance(found, type):
        found = _called(source, found)
    model, example = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    if kind_of(model) is None:
        raise UsageError(
            f"{source.location} is {_what(model)}, which is no model",
            hint="name a torch.nn.Module, a Keras model, or a function that returns one",
        )
    if example is None:
        example = next((e for e in _own_examples(model) if e is not None), None)
    return model, example


def _called(source: Source, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except DeployError:
        raise
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"{source.location} needs {error.name}, which is not installed", hint=_install(error.name or "")
        ) from error
    except Exception as error:
        raise ExportError(
            f"{source.location}: the function raised {type(error).__name__}: {error}",
            hint="it is called without arguments and returns a model, or (model, example inputs)",
        ) from error


def _install(module: str) -> str:
    extra = {"torch": "torch", "tensorflow": "tensorflow", "keras": "tensorflow"}.get(module)
    return f"pip install 'deploy-toolkit[{extra}]'" if extra else f"pip install {module.partition('.')[0]}"


def _own_examples(model: object) -> list[object]:
    # `example_input_array` is Lightning's word for it.
    return [getattr(model, name, None) for name in ("example", "example_input_array")]


def _what(value: object) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"of type {type(value).__qualname__}"


def _attribute(source: Source) -> Any:
    sys.path.insert(0, str(source.folder))
    try:
        module = _script(source.path) if source.path else import_module(source.module)
    except DeployError:
        raise
    except ModuleNotFoundError as error:
        hint = f"pip install {(error.name or '').partition('.')[0]}, or run from the folder that holds it"
        raise UsageError(f"{source.location}: there is no module {error.name!r}", hint=hint) from error
    except Exception as error:
        raise UsageError(
            f"{source.location} could not be imported: {type(error).__name__}: {error}",
            hint="import it in Python first",
        ) from error
    try:
        return reduce(getattr, source.attribute.split("."), module)
    except AttributeError:
        names = [name for name, value in vars(module).items() if not name.startswith("_") and kind_of(value)]
        known = f"models there: {', '.join(names)}" if names else "name a model, or a function that returns one"
        raise UsageError(f"{source.location}: there is no attribute {source.attribute!r}", hint=known) from None


def _script(path: Path) -> ModuleType:
    # Under its own name, so that what it pickles can be found again; but a user's onnx.py must not become our onnx.
    name = path.stem if path.stem.isidentifier() and not _taken(path.stem) else f"deploy_source_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _taken(name: str) -> bool:
    if name in sys.modules or name in sys.stdlib_module_names:
        return True
    spec = find_spec(name)
    return spec is not None and spec.origin is not None and "site-packages" in spec.origin
