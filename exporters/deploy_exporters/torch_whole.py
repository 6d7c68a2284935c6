"""Layers that torch.export would take apart, kept whole while it looks: LSTM and GRU over any number of steps, bags.

torch.export unrolls `aten.lstm` over the steps of the example and so freezes their number. An operator of our own in its
place stays as it is; a program gets torch's back, and ONNX has operators for them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.nn import functional

_NAMESPACE = "deploy_whole"
_STATES = {"lstm": "Tensor[]", "gru": "Tensor"}
_REST = (
    "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first"
)
_JOINED = {"mean": "mean", "sum": "sum", "max": "amax"}  # what a bag does with its rows
_library: Any = torch.library.Library(_NAMESPACE, "DEF")  # type: ignore[no-untyped-call]


def _define(name: str) -> None:
    count = 3 if name == "lstm" else 2
    _library.define(f"{name}(Tensor input, {_STATES[name]} hx, {_REST}) -> ({', '.join(['Tensor'] * count)})")
    _library.impl(name, _torchs(name), "CompositeExplicitAutograd")
    torch.library.register_fake(f"{_NAMESPACE}::{name}", _shapes, lib=_library)


def _torchs(name: str) -> Any:
    return getattr(torch.ops.aten, name).input


def _ours(name: str) -> Any:
    return getattr(getattr(torch.ops, _NAMESPACE), name).default


def _shapes(
    steps: torch.Tensor,
    hx: list[torch.Tensor] | torch.Tensor,
    params: list[torch.Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[torch.Tensor, ...]:
    states = [hx] if isinstance(hx, torch.Tensor) else hx
    width = states[0].shape[2] * (2 if bidirectional else 1)
    return (steps.new_empty((*steps.shape[:2], width)), *(torch.empty_like(state) for state in states))


for _each in _STATES:
    _define(_each)


@contextmanager
def kept_whole(model: torch.nn.Module) -> Generator[None]:
    """Let torch.export see these layers as one operator each, also in programs that it has made before."""
    with ExitStack() as stack:
        for name in _STATES:
            stack.enter_context(patch.object(torch._VF, name, _called(getattr(torch._VF, name), _ours(name))))
        stack.enter_context(patch.object(functional, "embedding_bag", _bag(functional.embedding_bag)))
        exchange(model, {_torchs(name): _ours(name) for name in _STATES})
        try:
            yield
        finally:
            exchange(model, {_ours(name): _torchs(name) for name in _STATES})


def with_torchs_own(program: ExportedProgram) -> ExportedProgram:
    """Give the program with torch's operators for ours, so that torch alone can load it."""
    exchange(program.graph_module, {_ours(name): _torchs(name) for name in _STATES})
    return program


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Give what ONNX has for our operators, for torch.onnx.export."""
    from onnxscript.function_libs.torch_lib.ops import core

    return {_ours("lstm"): core.aten_lstm, _ours("gru"): core.aten_gru}


def _called(torchs: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        # The form for sequences of different lengths has a tensor of sizes first.
        return ours(*args) if isinstance(args[3], bool) else torchs(*args)

    call.__name__ = torchs.__name__  # torch.export asks for it
    return call


def exchange(model: torch.nn.Module, targets: Mapping[Any, Any]) -> None:
    """Call other functions in the graphs of a model."""
    for module in [each for each in model.modules() if isinstance(each, GraphModule)]:
        nodes = [node for node in module.graph.nodes if node.op == "call_function" and node.target in targets]
        for node in nodes:
            node.target = targets[node.target]
        if nodes:
            module.recompile()


def _bag(torchs: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Bags of one size are rows of a table, put together: ONNX has no bags, and a loop over them is no answer."""

    @wraps(torchs)
    def bag(*args: Any, **kwargs: Any) -> torch.Tensor:
        given = inspect.signature(torchs).bind(*args, **kwargs)
        given.apply_defaults()
        named = given.arguments
        special = any(named[name] is not None for name in ("offsets", "max_norm", "per_sample_weights", "padding_idx"))
        if special or named["input"].dim() != 2:
            return torchs(*args, **kwargs)
        joined: Callable[..., torch.Tensor] = getattr(torch, _JOINED[named["mode"]])
        return joined(functional.embedding(named["input"], named["weight"]), dim=1)

    return bag
