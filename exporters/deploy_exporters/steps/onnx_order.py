"""One order and one numbering for a graph of tf2onnx, which sorts nodes by names that it counts, by sets, as it goes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

_COUNTED = re.compile(r"__\d+(?=$|[/_])")


def settle(graph: Any) -> None:
    """Sort nodes and constants by the way from the outputs to them and number names in that order, bodies and all.

    Names of inputs and outputs stay.
    """
    _sort(graph)
    kept = {value.name for value in (*graph.input, *graph.output)}
    _number(graph, _Numbers(kept))


class _Numbers(dict[str, str]):
    """The new names of old ones, each made when it is first asked for."""

    def __init__(self, kept: set[str]) -> None:
        super().__init__({name: name for name in kept})
        self._kept = kept
        self._count = itertools.count(1)

    def __missing__(self, name: str) -> str:
        stem = _COUNTED.sub("", name)
        fresh = (f"{stem}__{number}" for number in self._count)
        self[name] = name if stem == name else next(each for each in fresh if each not in self._kept)
        return self[name]

    def of(self, tensor: str) -> str:
        """Name a tensor as the node that makes it: NODE:1 is its second output."""
        if tensor in self._kept:
            return tensor
        node, colon, place = tensor.partition(":")
        return self[node] + colon + place


def _sort(graph: Any) -> None:
    for body in _bodies(graph.node):
        _sort(body)
    makers = {tensor: place for place, node in enumerate(graph.node) for tensor in node.output if tensor}
    needed = [[makers[name] for name in _takes(node) if name in makers] for node in graph.node]
    first = [makers[value.name] for value in graph.output if value.name in makers]
    order = _postorder([*first, *range(len(needed))], needed)
    ranks = {_made(graph.node[place]): rank for rank, place in enumerate(order)}
    graph.node.sort(key=lambda node: ranks[_made(node)])
    used = (name for node in graph.node for name in _takes(node))
    uses = {name: rank for rank, name in enumerate(dict.fromkeys(used))}
    graph.initializer.sort(key=lambda tensor: uses.get(tensor.name, len(uses)))


def _postorder(first: list[int], needed: list[list[int]]) -> list[int]:
    """Give each place after all that it needs; no recursion, since models are deep."""
    entered: set[int] = set()
    done: dict[int, None] = {}
    waiting = [*reversed(first)]
    while waiting:
        each = waiting[-1]
        if each in entered:
            done.setdefault(waiting.pop())
        else:
            entered.add(each)
            waiting += [place for place in reversed(needed[each]) if place not in entered]
    return list(done)


def _number(graph: Any, numbers: _Numbers) -> None:
    for value in graph.input:
        _name(value, numbers)
    for node in graph.node:
        node.input[:] = [numbers.of(name) for name in node.input]
        node.output[:] = [numbers.of(name) for name in node.output]
        node.name = numbers[node.name]
        for body in _bodies([node]):
            _number(body, numbers)
    for tensor in graph.initializer:
        tensor.name = numbers.of(tensor.name)
    graph.value_info.sort(key=lambda value: numbers.of(value.name))
    for value in (*graph.output, *graph.value_info):
        _name(value, numbers)


def _name(value: Any, numbers: _Numbers) -> None:
    value.name = numbers.of(value.name)
    for dim in value.type.tensor_type.shape.dim:  # of no sequence: nothing of tf2onnx's has one
        if dim.dim_param:
            dim.dim_param = numbers[dim.dim_param]


def _made(node: Any) -> str:
    first: str = next(tensor for tensor in node.output if tensor)
    return first


def _takes(node: Any) -> Iterator[str]:
    """Name what a node reads, what its bodies read from around them included."""
    yield from node.input
    for body in _bodies([node]):
        own = {tensor.name for tensor in (*body.input, *body.initializer)}
        own.update(tensor for inner in body.node for tensor in inner.output)
        read = (*(name for inner in body.node for name in _takes(inner)), *(value.name for value in body.output))
        yield from (name for name in read if name not in own)


def _bodies(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        yield from (attribute.g for attribute in node.attribute if attribute.HasField("g"))
