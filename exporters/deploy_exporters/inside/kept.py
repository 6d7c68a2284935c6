"""What was found inside a model, as long as there is room for it."""

from __future__ import annotations

from collections.abc import Iterable

from deploy_core.errors import UsageError
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

MOST_BYTES = 1 << 30  # all of it goes through a pipe and lies in two processes at once


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

    def outputs_last(self, outputs: Iterable[str]) -> list[Intermediate]:
        """Give all of them, those of these names at the end, in that order."""
        last = [self._found[name] for name in outputs if name in self._found]
        names = {found.name for found in last}
        return [*(found for name, found in self._found.items() if name not in names), *last]
