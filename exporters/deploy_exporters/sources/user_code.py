"""Code of the user's own that makes a model: a module or script is imported, a function in it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from deploy_core.errors import DeployError, ExportError, UnavailableError, UsageError
from deploy_exporters.sources import Source, kind_of


def attribute(source: Source) -> Any:
    """Give what `module:attribute` or `file.py:attribute` names. Raises UsageError."""
    module = imported(source)
    try:
        return reduce(getattr, source.attribute.split("."), module)
    except AttributeError:
        names = [name for name, value in vars(module).items() if not name.startswith("_") and kind_of(value)]
        known = f"models there: {', '.join(names)}" if names else "name a model, or a function that returns one"
        raise UsageError(f"{source.location}: there is no attribute {source.attribute!r}", hint=known) from None


def imported(source: Source) -> Any:
    """Import the module or script of a source. Raises UsageError."""
    sys.path.insert(0, str(source.folder))
    try:
        return _script(source.path) if source.path else import_module(source.module)
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


def called(source: Source, function: Callable[[], Any]) -> Any:
    """Call the user's function. Raises UnavailableError for a missing library, ExportError for anything else."""
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
