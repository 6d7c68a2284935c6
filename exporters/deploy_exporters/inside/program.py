"""Looking into a torch.export program: torch.fx runs it node by node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import getitem
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import map_arg
from torch.utils import _pytree

from deploy_core.errors import UsageError, reason
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Tensors
from deploy_exporters import pt2
from deploy_exporters.deploy_handler import to_tensor
from deploy_exporters.inside import layers
from deploy_exporters.inside.calls import Call, Calls, plain
from deploy_exporters.inside.kept import Kept
from deploy_exporters.inside.torch_values import attributes, bound, copied, special
from deploy_exporters.sources.torch import TorchSource

_FLAT = "deploy_exporters.torch_flat.Flat"


def intermediates(
    graph: GraphModule,
    tensors: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    *,
    most_bytes: int | None = None,
    calls: Calls | None = None,
) -> list[Intermediate]:
    """Give the tensors inside for inputs in the order of the program's own; a choice or a loop is one operator.

    The tensors that are answered have the names of `outputs`; `calls` are filled. Raises UsageError if all take more than `most_bytes`.
    """
    looking = _Looking(graph, list(tensors), outputs, Kept(most_bytes))
    with torch.no_grad():
        looking.run(*tensors.values(), enable_io_processing=False)
    if calls is not None:
        calls.made.update(looking.made)
        calls.weights.update(looking.weights)
        calls.outputs.update(looking.ends(outputs))
    return looking.kept.told(looking.ends(outputs))


def of_source(source: TorchSource, inputs: Tensors) -> list[Intermediate]:
    """Give the tensors inside an opened model or program. Raises UsageError for one that torch.export does not take."""
    tensors = {name: to_tensor(array) for name, array in inputs.items()}
    return intermediates(_graph(source), tensors, [spec.name for spec in source.signature.outputs])


def _graph(source: TorchSource) -> GraphModule:
    if isinstance(source.model, pt2.Program):
        return source.model.graph
    try:
        exported = pt2.program(source)
    except Exception as error:
        raise UsageError(
            f"torch.export does not take the model, so it cannot be looked into: {reason(error)}",
            hint="look into a file made from it, such as its TorchScript",
        ) from error
    return exported.module(check_guards=False)


class _Looking(Interpreter):
    """Runs a program and keeps every tensor that an operator makes."""

    def __init__(self, graph: GraphModule, inputs: Sequence[str], outputs: Sequence[str], kept: Kept) -> None:
        super().__init__(graph)
        self.kept = kept
        self._names = _names(graph, inputs, outputs)
        self._weights: dict[str, Array] = {}
        self._calls: dict[Node, Mapping[str, Any]] = {}
        self._plain: dict[Node, Any] = {}
        self.made: dict[str, Call] = {}

    def ends(self, outputs: Sequence[str]) -> dict[str, str]:
        """Give the tensor that each output is."""
        leaves = zip(outputs, _leaves(list(self.graph.nodes)), strict=True)
        return {name: self._names[leaf.name] for name, leaf in leaves if isinstance(leaf, Node)}

    def run_node(self, n: Node) -> Any:
        """Run a node, and keep what it makes."""
        if n.op == "call_module" and n.target == "_guards_fn":
            return None  # whether the program takes such sizes has been seen by whoever asks
        if n.op == "call_function" and n.target is not getitem:
            # Before it runs: it may change its arguments.
            self._calls[n] = self._arguments(n)
            self._plain[n] = self._as_told(n)
        value = super().run_node(n)
        if n.op == "get_attr" and isinstance(value, torch.Tensor):
            self._weights[n.name] = copied(value)
        maker = _maker(n)
        if maker is not None and isinstance(value, torch.Tensor):
            self._keep(n, maker, copied(value))
        return value

    def _keep(self, node: Node, maker: Node, value: Array) -> None:
        used = [each.name for each in _tensors(maker, self._names)]
        if used and all(name in self._weights for name in used):
            self._weights[node.name] = value  # of weights alone an operator makes another
        else:
            self.kept.add(self._intermediate(node, maker, value))
            self.made[self._names[node.name]] = Call(_overload(maker.target), self._plain[maker], _place(node))

    @property
    def weights(self) -> dict[str, Array]:
        """Weights by their names, and what operators make of them alone."""
        return {self._names[name]: value for name, value in self._weights.items()}

    def _arguments(self, node: Node) -> Mapping[str, Any]:
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        schema = getattr(node.target, "_schema", None)
        given = bound(schema, args, kwargs) if schema else {**{f"{n}": a for n, a in enumerate(args)}, **kwargs}
        return attributes({name: value for name, value in given.items() if not isinstance(value, torch.nn.Module)})

    def _as_told(self, node: Node) -> Any:
        """Give the arguments as plain data, by the names of the operator's schema."""

        def held(each: Node) -> Any:
            value = self.env[each]
            return {"tensor": self._names[each.name]} if isinstance(value, torch.Tensor) else value

        args, kwargs = map_arg((node.args, node.kwargs), held)
        schema = getattr(node.target, "_schema", None)
        named = bound(schema, args, kwargs) if schema else {}
        return plain(named, lambda value: special(value, lambda _: ""))

    def _intermediate(self, node: Node, maker: Node, value: Array) -> Intermediate:
        used = list(_tensors(maker, self._names))
        weights = {self._names[each.name]: self._weights[each.name] for each in used if each.name in self._weights}
        names = tuple(self._names[each.name] for each in used)
        return Intermediate(
            self._names[node.name], value, operator(maker.target), names, self._calls[maker], weights, _layer(maker)
        )


def operator(target: Any) -> str:
    """Give an operator's name as torch itself has it: `aten::batch_norm`."""
    schema = getattr(target, "_schema", None)
    return str(schema.name) if schema else getattr(target, "__name__", str(target))


def _overload(target: Any) -> tuple[str, str]:
    schema = getattr(target, "_schema", None)
    return operator(target), str(schema.overload_name) if schema else ""


def _place(node: Node) -> tuple[int, ...]:
    """Give where in the answer of its maker a tensor lies."""
    found: list[int] = []
    while node.target is getitem and isinstance(node.args[0], Node):
        found.insert(0, int(str(node.args[1])))
        node = node.args[0]
    return tuple(found)


def _maker(node: Node) -> Node | None:
    """Give the operator that makes what a node gives; of one that makes several tensors, nodes take out each."""
    if node.op != "call_function":
        return None
    while node.target is getitem and isinstance(node.args[0], Node):
        node = node.args[0]
    return node if node.op == "call_function" else None


def _tensors(node: Node, names: Mapping[str, str]) -> Iterator[Node]:
    return (each for each in node.all_input_nodes if each.name in names and _is_tensor(each))


def _is_tensor(node: Node) -> bool:
    value = node.meta.get("val")
    return node.op == "get_attr" or value is None or isinstance(value, torch.Tensor)


def _names(graph: GraphModule, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Give the name that each node goes by: inputs, outputs and weights by their own, others by torch's."""
    nodes = list(graph.graph.nodes)
    named = dict(zip((node.name for node in nodes if node.op == "placeholder"), inputs, strict=True))
    flat = _root_is_flat(nodes)
    for node in nodes:
        if node.op == "get_attr" and not isinstance(getattr(graph, str(node.target), None), torch.nn.Module):
            named[node.name] = layers.without_flat(str(node.target)) if flat else str(node.target)
    for leaf, name in zip(_leaves(nodes), outputs, strict=True):
        if isinstance(leaf, Node):
            named.setdefault(leaf.name, name)
    taken = set(named.values())
    for node in nodes:
        named.setdefault(node.name, f"{node.name}_" if node.name in taken else node.name)
    return named


def _leaves(nodes: Sequence[Node]) -> list[Any]:
    """Give what the program answers, in order."""
    (output,) = (node for node in nodes if node.op == "output")
    return _pytree.tree_leaves(output.args[0])


def _root_is_flat(nodes: Sequence[Node]) -> bool:
    stacks = (node.meta.get("nn_module_stack") for node in nodes)
    return any(kind == _FLAT for stack in stacks if stack for path, kind in list(stack.values())[:1])


def _layer(node: Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    path = str(stack[-1][0])
    return layers.without_flat(path) if stack[0][1] == _FLAT else path
