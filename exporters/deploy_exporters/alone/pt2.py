"""Some operators of a torch.export program as calls of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_core.signature import Signature, Tensors
from deploy_exporters import pt2
from deploy_exporters.alone.written_calls import file_of
from deploy_exporters.deploy_handler import to_tensor
from deploy_exporters.inside import program as inside
from deploy_exporters.inside.calls import Calls


def part(path: Path, tensors: Sequence[str], values: Tensors, *, signature: Signature, asked: Tensors) -> bytes:
    """Give the calls that make `tensors` where the program is `asked` that. Raises UsageError if they need more than `values`."""
    calls = Calls()
    given = {name: to_tensor(array) for name, array in signature.conform(asked).items()}
    graph = pt2.Program(pt2.load(path)).graph
    inside.intermediates(graph, given, [spec.name for spec in signature.outputs], calls=calls)
    return file_of(calls, tensors, values, _operator)


def _operator(called: tuple[str, str]) -> tuple[str, str]:
    if "::" not in called[0]:
        raise UsageError(f"{called[0]} is no operator of torch that is called by itself")
    return called
