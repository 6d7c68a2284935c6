"""The model inside somebody's TorchServe archive, and what the archive's handler does around it; all in a worker."""

from __future__ import annotations

import inspect
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import torch

from deploy_core.errors import UsageError, reason
from deploy_core.signature import Tensors
from deploy_exporters.deploy_handler import flatten, to_tensor
from deploy_exporters.safety import require_safe
from deploy_exporters.sources.torch import to_array
from deploy_exporters.torchserve_stand_in import Context, Handle, handler_of, start

Body = tuple[bytes, str]  # what is sent, and its content type
JSON = "application/json"
_kept: dict[int, Archived] = {}
_numbers = count(1)


class Archived:
    """An unpacked archive whose handler is started, and whose model is watched while the handler asks it."""

    def __init__(self, path: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="deploy-mar-")
        root = Path(self._folder.name)
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(root)
                manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
            self._context = Context(root, manifest)
            handler, self._handle = _started(path, root, self._context)
            self.model = _model(path, handler)
            self._watched = _watched(handler, self.model)
        except BaseException:
            self._folder.cleanup()
            raise

    def close(self) -> None:
        """Remove the unpacked files; may be called twice."""
        self._folder.cleanup()

    def asked(self, body: Body) -> Tensors:
        """Give what the handler asks its model for a request, by the names of the model's arguments."""
        return self._run(body, None)[0]

    def answer(self, body: Body, outputs: Tensors) -> bytes:
        """Give what the handler answers a request when its model's answer is this one."""
        return self._run(body, outputs)[1]

    def _run(self, body: Body, outputs: Tensors | None) -> tuple[Tensors, bytes]:
        seen: list[Tensors] = []

        def watch(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
            seen.append(_named(self.model, args, kwargs))
            return None if outputs is None else _like(answer, list(outputs.values()))

        hook = self._watched.register_forward_hook(watch, with_kwargs=True)
        try:
            self._context.statuses.clear()
            (answer,) = self._handle([{"body": _received(body)}], self._context)
        except Exception as error:
            raise UsageError(
                f"the archive's handler does not answer that request: {reason(error)}",
                hint="give --request FILE with a body that it takes",
            ) from error
        finally:
            hook.remove()
        if len(seen) != 1:
            raise UsageError(
                f"the archive's handler asks its model {len(seen)} times for one request",
                hint="only a handler that asks once can stay around another server",
            )
        return seen[0], _sent(answer)


def _started(path: Path, root: Path, context: Context) -> tuple[object, Handle]:
    name = str(context.manifest["model"]["handler"]).partition(":")[0].removesuffix(".py")
    try:
        if (root / f"{name}.py").is_file():
            return start(root / f"{name}.py", context, alone=False)
        return handler_of(import_module(f"ts.torch_handler.{name}"), context)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"the handler {name} of {path} does not start here: {reason(error)}", hint="install what it imports"
        ) from error


def _model(path: Path, handler: object) -> torch.nn.Module:
    model = getattr(handler, "model", None)
    if isinstance(model, torch.nn.Module):
        return model.cpu().eval()
    raise UsageError(
        f"the handler of {path} holds no torch model in `model`, as TorchServe's BaseHandler does",
        hint="deploy export takes the model itself; --to mar --handler FILE.py keeps a handler of your own",
    )


class _Plain(torch.nn.Module):
    """Calls a TorchScript program, which itself takes no hooks."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Answer one batch."""
        return self.script(*args, **kwargs)


def _watched(handler: Any, model: torch.nn.Module) -> torch.nn.Module:
    """Give what hooks are put on, which the handler asks."""
    if isinstance(model, torch.jit.ScriptModule):
        handler.model = _Plain(model)
    watched: torch.nn.Module = handler.model
    return watched


def _named(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensors:
    if isinstance(model, torch.jit.ScriptModule):
        forward: Any = model.forward
        names = [each.name for each in forward.schema.arguments[1:]]
    else:
        names = list(inspect.signature(model.forward).parameters)
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {name: to_array(value) for name, value in given.items() if isinstance(value, torch.Tensor)}


def _like(answer: Any, values: Sequence[Any]) -> Any:
    """Give the values in the form of what the model itself answered."""
    tensors = [to_tensor(value) for value in values]
    if isinstance(answer, torch.Tensor):
        return tensors[0]
    names = [name for name, _ in flatten(answer)]
    if isinstance(answer, Mapping):
        return {**answer, **dict(zip(names, tensors, strict=True))}
    return type(answer)(*tensors) if hasattr(answer, "_fields") else type(answer)(tensors)


def _received(body: Body) -> Any:
    """Give a body as TorchServe hands it to a handler."""
    data, kind = body
    if kind == JSON:
        return json.loads(data)
    return data.decode() if kind.startswith("text/") else bytearray(data)


def _sent(answer: Any) -> bytes:
    """Give a handler's answer as TorchServe sends it."""
    if isinstance(answer, bytes | bytearray):
        return bytes(answer)
    return answer.encode() if isinstance(answer, str) else json.dumps(answer, indent=2).encode()


def model_inside(path: Path) -> torch.nn.Module:
    """Give the model in an archive; its unpacked files stay as long as this process, which may read its code again."""
    return _kept[open_archive(path, trust=True)].model


def open_archive(path: Path, *, trust: bool) -> int:
    """Open an archive and keep it. Raises UnsafeError unless its code is trusted, UsageError if there is no model in it."""
    require_safe(path, "mar", trust=trust)
    number = next(_numbers)
    _kept[number] = Archived(path)
    return number


def asked(number: int, bodies: Sequence[Body]) -> list[Tensors]:
    """Give what the handler asks its model for each request."""
    return [_kept[number].asked(body) for body in bodies]


def answers(number: int, bodies: Sequence[Body], outputs: Sequence[Tensors]) -> list[bytes]:
    """Give what the handler answers each request when its model's answers are these."""
    return [_kept[number].answer(body, each) for body, each in zip(bodies, outputs, strict=True)]


def close(number: int) -> None:
    """Let go of an archive."""
    _kept.pop(number).close()
