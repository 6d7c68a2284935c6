"""TorchScript, in one place: torch 2.13 deprecates every call here, and each still works."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from deploy_core.signature import Signature

_LAYERS = "layers.json"
LEGACY_OPSET = 20  # the newest that the exporter before torch.export knows


def script(model: torch.nn.Module) -> Any:
    """Compile a model, its control flow included. Raises whatever TorchScript cannot take."""
    with _quiet():
        return torch.jit.script(model).eval()


def trace(model: torch.nn.Module, example: Sequence[torch.Tensor]) -> Any:
    """Record what a model does with an example; the argument names of its `forward` are kept."""
    with _quiet(), torch.no_grad():
        traced = _traced(model.eval(), example).eval()
        frozen = torch.jit.freeze(traced)
        frozen.norms = _norms(traced)  # of this object alone: no file keeps it
        return frozen


def _traced(model: torch.nn.Module, example: Sequence[torch.Tensor]) -> Any:
    return torch.jit.trace(model, tuple(example), check_trace=False)  # type: ignore[no-untyped-call]


def save(model: Any, path: Path, signature: Signature | None) -> None:
    """Write a TorchScript file; one that tells its own signature if that is known."""
    extra = {} if signature is None else {"signature.json": json.dumps(signature.to_json())}
    if told := _layers(model):
        extra[_LAYERS] = json.dumps(told)
    with _quiet():
        torch.jit.save(model, str(path), _extra_files=extra)


def layers(path: Path) -> list[tuple[str, str]]:
    """Give the operators of a frozen trace that `save` wrote, each with the layer that it is of; nothing of other files."""
    with zipfile.ZipFile(path) as file:
        name = next((name for name in file.namelist() if name.endswith(f"/extra/{_LAYERS}")), "")
        return [(kind, layer) for kind, layer in json.loads(file.read(name))] if name else []


def operators(graph: Any) -> list[Any]:
    """Give the nodes of a graph that compute."""
    return [node for node in graph.nodes() if not node.kind().startswith("prim::")]


def _layers(model: Any) -> list[tuple[str, str]]:
    # A trace knows for each operator whose it is. Freezing leaves no modules, and a file keeps only those.
    nodes = operators(model.graph)
    scopes = [_scope(node) for node in nodes]
    # What a batch norm was folded into gives the norm's answer.
    folded = {conv: norm for conv, norm in getattr(model, "norms", {}).items() if norm not in scopes}
    scopes = [folded.get(scope, scope) for scope in scopes]
    flat = all(scope.partition(".")[0] in ("", "model") for scope in scopes)
    found = [scope.partition(".")[2] if flat else scope for scope in scopes]
    return [(node.kind(), scope) for node, scope in zip(nodes, found, strict=True)] if len(set(found)) > 1 else []


def _norms(traced: Any) -> dict[str, str]:
    """Give the scope of each batch norm by that of the operator whose answer it takes."""
    norms = (node for node in operators(traced.inlined_graph) if node.kind() == "aten::batch_norm")
    return {_scope(next(iter(node.inputs())).node()): _scope(node) for node in norms}


def _scope(node: Any) -> str:
    scope: str = node.scopeName().rpartition("/")[2].partition(".")[2]
    return scope


def copied(script: Any) -> Any:
    """Give a copy of a program, as a file of it would be read."""
    written = io.BytesIO()
    with _quiet():
        torch.jit.save(script, written)
        written.seek(0)
        return torch.jit.load(written, map_location="cpu").eval()  # type: ignore[no-untyped-call]


def program(script: Any, example: Sequence[torch.Tensor]) -> ExportedProgram:
    """Make a torch.export program of a TorchScript program: what torch has for it is private, and often refuses."""
    from torch._export.converter import TS2EPConverter

    # Of a copy: a program that was never in a file has attributes that the converter stumbles over.
    with _quiet(), torch.no_grad():
        converted: ExportedProgram = TS2EPConverter(copied(script), tuple(example), {}).convert()
    return converted


def onnx(script: Any, example: Sequence[torch.Tensor], path: Path, signature: Signature, opset: int) -> None:
    """Write ONNX by the exporter that torch had before torch.export; it knows TorchScript."""
    specs = (*signature.inputs, *signature.outputs)
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            script,
            tuple(example),
            str(path),
            dynamo=False,
            input_names=[spec.name for spec in signature.inputs],
            output_names=[spec.name for spec in signature.outputs],
            dynamic_axes={
                s.name: {axis: dim for axis, dim in enumerate(s.shape) if isinstance(dim, str)} for s in specs
            },
            opset_version=min(opset, LEGACY_OPSET),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # A trace warns of every Python value that it makes a constant; the proof that follows shows whether it matters.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
