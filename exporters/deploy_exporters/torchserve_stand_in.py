"""A stand-in for TorchServe's Python side: starts the handler of an unpacked archive, and hands requests to it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from deploy_core.errors import UsageError

Handle = Callable[[list[Mapping[str, Any]], Any], list[Any]]


class Metrics:
    """Takes every metric that a handler adds, and keeps none."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("add_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


class Context:
    """What a handler sees of TorchServe; the status and content type of each answer are kept by index."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.manifest = manifest
        self.model_name = manifest["model"]["modelName"]
        self.system_properties = {"model_dir": str(folder), "gpu_id": None, "batch_size": 1}
        self.model_yaml_config = _yaml(folder, manifest["model"].get("configFile", ""))
        self.metrics = Metrics()
        self.statuses: dict[int, int] = {}
        self.content_types: dict[int, str] = {}

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Keep the status of one answer."""
        self.statuses[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Keep the content type of one answer."""
        self.content_types[idx] = value

    def get_request_header(self, idx: int, key: str, exact: bool = False) -> str | None:
        """Give no header: these requests come from nowhere."""
        return None


def _yaml(folder: Path, name: str) -> dict[str, Any]:
    if not name:
        return {}
    import yaml

    found: dict[str, Any] = yaml.safe_load((folder / name).read_text()) or {}
    return found


def start(path: Path, context: Context, *, alone: bool) -> tuple[object, Handle]:
    """Import a handler and initialise it, as TorchServe does: the only class of its module, else its function `handle`.

    One that stands `alone` cannot import what lies beside it, such as somebody's numpy.so.
    """
    with nullcontext() if alone else _importable(path.parent):
        return handler_of(_imported(path), context)


def handler_of(module: ModuleType, context: Context) -> tuple[object, Handle]:
    """Initialise the handler of an imported module. Raises UsageError if there is none."""
    kinds: list[Any] = [
        kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__
    ]
    if len(kinds) == 1:
        handler = kinds[0]()
        handler.initialize(context)
        return handler, handler.handle
    handle = getattr(module, "handle", None)
    if handle is None:
        name = Path(module.__file__ or module.__name__).name
        raise UsageError(f"{name} defines {len(kinds)} classes and no function handle", hint="TorchServe takes one")
    return module, handle


def _imported(path: Path) -> ModuleType:
    name = f"{path.stem}_of_mar"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # where what it defines looks for its module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a handler import what lies beside it, and forget it afterwards: the next archive has files of the same names."""
    sys.path.insert(0, str(folder))
    before = set(sys.modules)
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == folder:
                del sys.modules[name]
