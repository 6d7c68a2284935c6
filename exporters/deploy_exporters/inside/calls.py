"""Who made each tensor inside a model, and of what: enough to make the same call again, by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy_core.errors import UsageError
from deploy_core.signature import Array


@dataclass(frozen=True)
class Call:
    """One call: what was called, its arguments as plain data with `{"tensor": NAME}` for tensors, and where in its answer
    a tensor lies."""

    called: Any
    arguments: Any
    place: tuple[int, ...] = ()


@dataclass
class Calls:
    """The calls that made tensors, by the tensors' names, and the values of weights; outputs may be told by other names."""

    made: dict[str, Call] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def chain(self, tensors: Sequence[str], given: Mapping[str, Array]) -> tuple[dict[str, Call], dict[str, Array]]:
        """Give the calls that make those tensors of what is given, and the weights that they take.

        Raises UsageError for a tensor that no call makes, and for calls that take what is neither given nor a weight.
        """
        wanted = {self.raw(name) for name in tensors}
        if unknown := wanted - self.made.keys():
            raise UsageError(f"no operator of the model makes a tensor {min(unknown)!r}", hint="name its intermediates")
        found = {name: call for name, call in self.made.items() if name in wanted}
        known = {self.raw(name) for name in given} | found.keys()
        needed = dict.fromkeys(n for call in found.values() for n in tensors_of(call.arguments) if n not in known)
        if lacking := [name for name in needed if name not in self.weights]:
            raise UsageError(f"it takes {lacking[0] or 'a tensor'!r}, whose value is not known", hint="give all inputs")
        return found, {name: self.weights[name] for name in needed}

    def raw(self, name: str) -> str:
        """Give the name in calls of a tensor, by the name that it is told by."""
        return self.outputs.get(name, name)


def tensors_of(arguments: Any) -> list[str]:
    """Give the names of the tensors among arguments."""
    if isinstance(arguments, Mapping):
        if "tensor" in arguments and len(arguments) == 1:
            return [arguments["tensor"]]
        return [name for value in arguments.values() for name in tensors_of(value)]
    if isinstance(arguments, list):
        return [name for value in arguments for name in tensors_of(value)]
    return []


def plain(value: Any, special: Callable[[Any], Any]) -> Any:
    """Give an argument as plain data; `special` gives that of anything but numbers, text, lists and dictionaries."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(each, special) for each in value]
    if isinstance(value, Mapping):
        return {str(key): plain(each, special) for key, each in value.items()}
    return special(value)
