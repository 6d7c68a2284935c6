"""One node of a TorchScript graph, run alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any

import torch

from deploy_core.errors import UsageError, reason

MISSING = object()
_Plain = Callable[[Any, Sequence[Any]], Sequence[Any]]


def run(node: Any, given: Sequence[Any]) -> Sequence[Any]:
    """Run a node on values. Raises UsageError for one that does not run alone."""
    graph: Any = torch._C.Graph()
    # One that nobody uses may be undefined, which Python cannot have.
    taken = [len(list(node.outputs())) == 1 or bool(value.uses()) for value in node.outputs()]
    try:
        graph.registerOutput(_one(graph, list(compress(_copied(graph, node).outputs(), taken))))
        answer = torch._C._create_function_from_graph("alone", graph)(*given)
    except Exception as error:
        raise UsageError(
            f"{node.kind()} of the program does not run by itself: {reason(error)}",
            hint="look into another format of the same model",
        ) from error
    answers = iter([answer] if sum(taken) == 1 else list(answer or ()))
    return [next(answers) if each else None for each in taken]


def _one(graph: Any, made: Sequence[Any]) -> Any:
    """Give several values as a tuple, none as None: a function has one."""
    if len(made) == 1:
        return made[0]
    if not made:
        nothing = graph.appendNode(graph.create("prim::Constant")).output()
        nothing.setType(torch._C.NoneType.get())
        return nothing
    whole = graph.appendNode(graph.create("prim::TupleConstruct", list(made), 1)).output()
    whole.setType(torch._C.TupleType([value.type() for value in made]))
    return whole


def function(node: Any) -> Any:
    """Give the graph of the function that a node calls, with the functions that it calls written out in it."""
    graph: Any = torch._C.Graph()
    called, *rest = node.inputs()
    own = {called.unique(): graph.appendNode(graph.createClone(called.node(), lambda value: value)).output()}
    own |= {value.unique(): _input(graph, value) for value in rest}
    clone = graph.appendNode(graph.createClone(node, lambda value: own[value.unique()]))
    for made in clone.outputs():
        graph.registerOutput(made)
    torch._C._jit_pass_inline(graph)
    return graph


def arguments(node: Any, given: Sequence[Any]) -> dict[str, Any]:
    """Give the values of a node by the names that its operator's schema has for them."""
    told = node.schema()
    if told == "(no schema)":
        return {str(number): value for number, value in enumerate(given)}
    names = [each.name for each in torch._C.parse_schema(told).arguments]
    return dict(zip(names, given, strict=True))


def operator(node: Any) -> tuple[str, str]:
    """Give the name of a node's operator, and that of its overload."""
    told = node.schema()
    return node.kind(), "" if told == "(no schema)" else torch._C.parse_schema(told).overload_name


def _copied(graph: Any, node: Any) -> Any:
    # An input for each place: the same value may be given twice.
    places = iter([_input(graph, value) for value in node.inputs()])
    return graph.appendNode(graph.createClone(node, lambda value: next(places)))


def _input(graph: Any, value: Any) -> Any:
    made = graph.addInput()
    made.setType(value.type())
    return made


def _changed(change: Callable[..., Any]) -> _Plain:
    """Give an operator on a list or a dictionary that Python holds here: libtorch would change a copy of it."""

    def changed(node: Any, given: Sequence[Any]) -> Sequence[Any]:
        answer = change(*given)
        outputs = len(list(node.outputs()))
        return [answer if answer is not None else given[0]][:outputs]

    return changed


PLAIN: Mapping[str, _Plain] = {
    "prim::Constant": lambda node, given: [node.output().toIValue()],
    "prim::Uninitialized": lambda node, given: [None],
    "prim::ListConstruct": lambda node, given: [list(given)],
    "prim::DictConstruct": lambda node, given: [dict(zip(given[::2], given[1::2], strict=True))],
    # Of a list, a dictionary or a text that Python holds here: what is taken out is who it was.
    "aten::__getitem__": lambda node, given: [given[0][given[1]]],
    "prim::ListUnpack": lambda node, given: list(given[0]),
    "prim::TupleUnpack": lambda node, given: list(given[0]),
    "prim::unchecked_cast": lambda node, given: [given[0]],
    # torch has an encoder's layer as one operator for who wants no gradient: the many that it stands for tell more.
    "prim::requires_grad": lambda node, given: [True],
    "aten::is_grad_enabled": lambda node, given: [True],
    "prim::Print": lambda node, given: [],
    "aten::append": _changed(list.append),
    "aten::extend": _changed(list.extend),
    "aten::insert": _changed(list.insert),
    "aten::clear": _changed(lambda held: held.clear()),
    "aten::pop": _changed(lambda held, *where: held.pop(*where)),
    "aten::_set_item": _changed(lambda held, key, value: held.__setitem__(key, value)),
}
