"""Looking into a TorchScript program: its graphs are run node by node, methods, functions and branches with their insides.

libtorch runs each node as a graph of its own; what Python does here is to carry values from one to the next. A loop is
one operator: what happens in its rounds is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from deploy_core.errors import UsageError
from deploy_core.predictor import Intermediate
from deploy_exporters import jit
from deploy_exporters.deploy_handler import argument, flatten
from deploy_exporters.inside import script_nodes
from deploy_exporters.inside.calls import Calls
from deploy_exporters.inside.kept import Kept
from deploy_exporters.inside.script_seen import Seen

_FLAT = "Flat"  # the wrapper of `torch_flat`


@dataclass(frozen=True)
class _Place:
    """A module inside a program, and its path."""

    module: Any
    path: str

    def within(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def intermediates(
    script: Any,
    tensors: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    *,
    layers: Sequence[tuple[str, str]] = (),
    most_bytes: int | None = None,
    calls: Calls | None = None,
) -> list[Intermediate]:
    """Give the tensors inside for inputs by the names that a file of ours has for them.

    The tensors that are answered have the names of `outputs`. `layers` tell of each operator of a frozen trace, in order,
    its kind and its layer; `calls` are filled. Raises UsageError if all take more than `most_bytes`, and
    for a program that does what only a whole one can.
    """
    seen = Seen(Kept(most_bytes), strip=getattr(script, "original_name", "") == _FLAT, calls=calls)
    looking = _Looking(seen, _told(script.graph, layers))
    for name, tensor in tensors.items():
        seen.name(tensor, name)
    with torch.no_grad():
        answer = looking.method(_Place(script._c, ""), "forward", _arguments(script, tensors))
    named = zip(outputs, (value for _, value in flatten(answer)), strict=True)
    return seen.told(dict(named))


def _told(graph: Any, layers: Sequence[tuple[str, str]]) -> dict[int, str]:
    """Give the layer of what each operator makes, if these are the graph's operators."""
    nodes = jit.operators(graph)
    if [kind for kind, _ in layers] != [node.kind() for node in nodes]:
        return {}
    return {value.unique(): layer for (_, layer), node in zip(layers, nodes, strict=True) for value in node.outputs()}


def _arguments(script: Any, tensors: Mapping[str, torch.Tensor]) -> list[Any]:
    given = {argument(name): tensor for name, tensor in tensors.items()}
    return [given.get(each.name, each.default_value) for each in script.forward.schema.arguments[1:]]


class _Looking:
    """Runs blocks; `values` are by the number that a value has in its graph."""

    def __init__(self, seen: Seen, told: Mapping[int, str]) -> None:
        self.seen = seen
        self._told = told  # of a graph without modules: the layer by the number of a value
        self._set: dict[tuple[str, str], Any] = {}  # attributes that the program changes; its own stay as they are

    def method(self, place: _Place, name: str, args: Sequence[Any]) -> Any:
        """Run a method of a module."""
        graph = place.module._get_method(name).graph
        (result,) = self.block(graph, place.path, (place, *args), {})
        return result

    def block(self, block: Any, path: str, args: Sequence[Any], around: Mapping[int, Any]) -> list[Any]:
        """Run the nodes of a graph or of a block in one, which sees the values around it; give its results."""
        values = {**around, **dict(zip((each.unique() for each in block.inputs()), args, strict=True))}
        for node in block.nodes():
            given = [values[each.unique()] for each in node.inputs()]
            made = self._run(node, path, given, values)
            values.update(zip((each.unique() for each in node.outputs()), made, strict=True))
        return [values[each.unique()] for each in (block.outputs() if hasattr(block, "outputs") else ())]

    def _run(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        kind = node.kind()
        if kind in _STRUCTURE:
            return _STRUCTURE[kind](self, node, path, given, values)
        if kind in script_nodes.PLAIN:
            return script_nodes.PLAIN[kind](node, given)
        # Before it runs: it may change its arguments.
        call = self.seen.call(node, self._place(node) or path, given)
        made = script_nodes.run(node, given)
        if not kind.startswith("prim::"):
            self.seen.made(call, node, made)
        return made

    def _place(self, node: Any) -> str:
        return next((self._told[each.unique()] for each in node.outputs() if each.unique() in self._told), "")

    def _get(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        (owner,), name = given, node.s("name")
        if not isinstance(owner, _Place):
            return [getattr(owner, name)]
        found = self._set.get((owner.path, name), script_nodes.MISSING)
        if found is script_nodes.MISSING:
            found = owner.module.getattr(name)
        if isinstance(found, torch._C.ScriptModule):
            return [_Place(found, owner.within(name))]
        self.seen.weight(found, owner.within(name))
        return [found]

    def _put(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        owner, value = given
        self._set[owner.path, node.s("name")] = value
        return []

    def _call_method(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        owner, *args = given
        if not isinstance(owner, _Place):
            return [getattr(owner, node.s("name"))(*args)]
        return [self.method(owner, node.s("name"), args)]

    def _call_function(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        return self.block(script_nodes.function(node), path, given[1:], {})

    def _if(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        chosen = list(node.blocks())[0 if given[0] else 1]
        return self.block(chosen, path, (), values)

    def _loop(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        most, going, *carried = given
        call = self.seen.call(node, path, given)
        (body,) = node.blocks()
        with self.seen.silent():
            for round_ in range(most):
                if not going:
                    break
                going, *carried = self.block(body, path, (round_, *carried), values)
        self.seen.made(call, node, carried)
        return carried

    def _raise(self, node: Any, path: str, given: Sequence[Any], values: Mapping[int, Any]) -> Sequence[Any]:
        raise UsageError(f"the program refuses these inputs: {given[0]}", hint="give inputs that it takes")


_STRUCTURE = {
    "prim::GetAttr": _Looking._get,
    "prim::SetAttr": _Looking._put,
    "prim::CallMethod": _Looking._call_method,
    "prim::CallFunction": _Looking._call_function,
    "prim::If": _Looking._if,
    "prim::Loop": _Looking._loop,
    "prim::RaiseException": _Looking._raise,
}
