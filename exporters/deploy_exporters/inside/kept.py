"""What was found inside a model, as long as there is room for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from deploy_core.errors import UsageError
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

MOST_BYTES = 1 << 30  # all of it goes through a pipe and lies in two processes at once
_SAME = "Identity"  # who makes an output of a tensor that is another output already


class Kept:
    """Intermediates in the order of computation, each name once. Raises UsageError if they take more than `most_bytes`."""

    def __init__(self, most_bytes: int | None = None) -> None:
        self._most = MOST_BYTES if most_bytes is None else most_bytes
        self._found: dict[str, Intermediate] = {}
        self._weights: set[int] = set()
        self._bytes = 0

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def add(self, found: Intermediate) -> None:
        """Keep one. Raises UsageError if there is no room for it."""
        self.count(found.value)
        for array in found.weights.values():
            if id(array) not in self._weights:
                self._weights.add(id(array))  # it stays alive: `found` holds it
                self.count(array)
        self._found[found.name] = found

    def count(self, array: Array) -> None:
        """Count the bytes of an array. Raises UsageError if they are too many."""
        self._bytes += array.nbytes
        if self._bytes > self._most:
            raise UsageError(
                f"the tensors inside the model take more than {self._most / 2**20:,.0f} MiB",
                hint="look into it with fewer rows, or with one",
            )

    def told(self, outputs: dict[str, str]) -> list[Intermediate]:
        """Give all of them, outputs by their own names and at the end; `outputs` tells which tensor each of them is.

        A tensor that is two outputs bears the name of the first, and the second is one more tensor, equal to it.
        """
        names = {tensor: output for output, tensor in reversed(outputs.items()) if tensor in self._found}
        inner = (self._named(tensor, names) for tensor in self._found if tensor not in names)
        return [*inner, *self._ends(outputs, names)]

    def _ends(self, outputs: Mapping[str, str], names: Mapping[str, str]) -> Iterator[Intermediate]:
        for output, tensor in outputs.items():
            if tensor in self._found:
                one = self._named(tensor, names)
                same = Intermediate(output, one.value, _SAME, (one.name,), layer=one.layer)
                yield one if one.name == output else same

    def _named(self, tensor: str, names: Mapping[str, str]) -> Intermediate:
        one = self._found[tensor]
        return replace(one, name=names.get(tensor, tensor), inputs=tuple(names.get(name, name) for name in one.inputs))
