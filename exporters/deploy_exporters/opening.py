"""Open a source inside a worker: import it, call it if it is a function, find out what it is."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from deploy_core.errors import DeployError, ExportError, UsageError
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
    if source.path is not None and source.path.suffix == ".pt2":
        return _open_pt2(source, example, inputs, outputs)
    if source.path is not None and source.path.suffix == ".keras":
        model, own = _load_keras(source.path), source.example
    else:
        model, own = _model_and_example(source)
    given = example if example is not None else own
    if kind_of(model) == "keras":
        from deploy_exporters.keras_source import open_keras

        return open_keras(model, given, inputs, outputs)
    from deploy_exporters.torch_source import open_torch

    return open_torch(model, given, inputs, outputs)


def _open_pt2(source: Source, example: Tensors | None, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> Opened:
    from deploy_exporters import pt2
    from deploy_exporters.torch_source import open_torch

    assert source.path is not None
    try:
        model, told, exported = pt2.load(source.path)
    except Exception as error:
        raise unreadable(source.path, "a torch.export program", error) from error
    specs = tuple(inputs) or (told.inputs if told else pt2.input_specs(exported))
    given = example if example is not None else source.example
    return open_torch(model, given, specs, outputs or ([spec.name for spec in told.outputs] if told else ()))


def unreadable(path: Path, what: str, error: Exception) -> UsageError:
    """Say that a file cannot be read as what its name says."""
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return UsageError(f"{path} cannot be read as {what}: {reason}", hint="it may be truncated; write it again")


def _load_keras(path: Path) -> Any:
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise unreadable(path, "a Keras model", error) from error


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
    except Exception as error:
        raise ExportError(
            f"{source.location}: the function raised {type(error).__name__}: {error}",
            hint="it is called without arguments and returns a model, or (model, example inputs)",
        ) from error


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
