"""torch.export programs: written from a source model, read back with their tensor names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree

from deploy_core.signature import BATCH, Signature, TensorSpec
from deploy_exporters import torch_whole
from deploy_exporters.sources.torch import TorchSource

_EXTRA = "signature.json"


class Program(torch.nn.Module):
    """A torch.export program that is called with its inputs by position, whatever their structure was."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.graph = program.module()
        self._structure = program.call_spec.in_spec
        self.training = False

    def train(self, mode: bool = True) -> Program:
        """Stay as it was exported: a program has lost the other mode, and torch raises if it is asked for."""
        return self

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Answer one batch."""
        args, kwargs = _pytree.tree_unflatten(list(tensors), self._structure)
        return self.graph(*args, **kwargs)


def program(source: TorchSource) -> ExportedProgram:
    """Export a source model with its symbols dynamic."""
    dynamic = dynamic_axes(source.signature, torch.export.Dim.DYNAMIC)
    with torch_whole.kept_whole(source.flat):
        exported = torch.export.export(source.flat, source.tensors(2), dynamic_shapes=dynamic)
    return torch_whole.with_torchs_own(exported)


def plain(exported: ExportedProgram) -> torch.fx.GraphModule:
    """Give a program as a module of plain operators, called by position, that TorchScript can compile."""
    module = exported.module(check_guards=False)
    for node in module.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload):
            node.target = node.target.overloadpacket
    module.graph.set_codegen(torch.fx.graph.CodeGen())  # its own takes the structures of Python apart
    return torch.fx.GraphModule(module, module.graph)


def dynamic_axes(signature: Signature, dynamic: object = None) -> tuple[dict[int, Any], ...]:
    """Give, for each input, its dynamic axes: each with `dynamic`, or with its symbol."""
    return tuple(
        {axis: dynamic or dim for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}
        for spec in signature.inputs
    )


def save(exported: ExportedProgram, path: Path, signature: Signature) -> None:
    """Write a .pt2 that tells its own signature."""
    torch.export.save(exported, str(path), extra_files={_EXTRA: json.dumps(signature.to_json())})


def load(path: Path) -> ExportedProgram:
    """Read a .pt2; `told` finds in it what `save` wrote."""
    extra: dict[str, Any] = {_EXTRA: ""}
    exported = torch.export.load(str(path), extra_files=extra)
    exported.graph_module.meta[_EXTRA] = extra[_EXTRA]
    return exported


def told(exported: ExportedProgram) -> Signature:
    """Give the signature that a program tells: the one that `save` wrote, else its inputs, and no names of outputs."""
    text = exported.graph_module.meta.get(_EXTRA, "")
    if text:
        return Signature.from_json(json.loads(text))
    values: Mapping[str, Any] = {
        node.name: node.meta["val"] for node in exported.graph.nodes if node.op == "placeholder"
    }
    inputs = tuple(_spec(name, values[name]) for name in exported.graph_signature.user_inputs if name in values)
    return Signature(inputs, ())


def _spec(name: str, value: Any) -> TensorSpec:
    sizes = [int(size) if isinstance(size, int) else f"{name}_{axis}" for axis, size in enumerate(value.shape)]
    dtype = str(value.dtype).removeprefix("torch.")
    return TensorSpec(name, dtype, (BATCH if isinstance(sizes[0], str) else sizes[0], *sizes[1:]) if sizes else ())
