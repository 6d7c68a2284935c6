"""Memory given back while a converter still runs."""

from __future__ import annotations

import gc
import weakref

from deploy_exporters import frugal

GRAPHS, NODES = 40, 10_000
FEW = 5


class Node:
    """Refers to its graph, as nodes of converters do: only a collection finds the two."""

    def __init__(self, graph: list[Node]) -> None:
        self.graph = graph


def most_alive() -> int:
    """Make graphs, each dropped for the next one; give how many were there at most."""
    seen: list[weakref.ref[Node]] = []
    most = 0
    for _ in range(GRAPHS):
        graph: list[Node] = []
        graph.extend(Node(graph) for _ in range(NODES))
        seen.append(weakref.ref(graph[0]))
        most = max(most, sum(each() is not None for each in seen))
    return most


def test_dropped_graphs_are_collected_though_there_are_many_other_objects() -> None:
    others = [[number] for number in range(1_500_000)]
    gc.collect()
    usual = most_alive()
    with frugal.prompt_collection():
        assert most_alive() <= FEW < usual
    assert len(others) == 1_500_000


def test_collection_is_as_it_was_afterwards() -> None:
    usual = gc.get_threshold()
    gc.set_threshold(900, 11, 12)
    try:
        frozen = gc.get_freeze_count()
        with frugal.prompt_collection():
            assert gc.get_freeze_count() > frozen
        assert (gc.get_threshold(), gc.get_freeze_count()) == ((900, 11, 12), frozen)
    finally:
        gc.set_threshold(*usual)
