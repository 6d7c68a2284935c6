"""The operators of a .tflite: which they are, in which version, from which layer, and which runtimes know them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy_core.errors import ExportError

CUSTOM = "CUSTOM"
# Not built in, but registered by every stock runtime.
STOCK = ("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess")
_SHOWN = 3


@dataclass(frozen=True)
class Operator:
    """An operator in one version; `layers` are the names of the tensors that it makes, `custom` its name if it is one."""

    name: str
    version: int
    layers: tuple[str, ...]
    custom: str = ""

    def __str__(self) -> str:
        more = f" and {len(self.layers) - _SHOWN} more" if len(self.layers) > _SHOWN else ""
        what = f"{self.custom} (custom)" if self.custom else f"{self.name} version {self.version}"
        return f"{what} of {', '.join(self.layers[:_SHOWN])}{more}"


def operators(model: bytes) -> tuple[Operator, ...]:
    """Read which operators the subgraphs use, in the order of the file's table."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    root = schema.Model.GetRootAs(model)
    layers = _layers(root)
    found = []
    for number in range(root.OperatorCodesLength()):
        code = root.OperatorCodes(number)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # old files have only the second
        name = names.get(builtin, f"operator {builtin}")
        custom = (code.CustomCode() or b"?").decode(errors="replace") if name == CUSTOM else ""
        if number in layers:
            found.append(Operator(name, code.Version(), tuple(layers[number]), custom))
    return tuple(found)


def require_builtin(used: Iterable[Operator]) -> None:
    """Raise ExportError, naming each operator with its layers, if a stock runtime has no kernel for it."""
    strange = [str(op) for op in used if op.custom and op.custom not in STOCK]
    if strange:
        raise ExportError(
            f"the .tflite has operators outside of TFLite's own: {'; '.join(strange)}",
            hint="a package must run with a stock runtime: replace these layers, or export without select TF operators",
        )


def unknown_to(runtime: str, used: Iterable[Operator]) -> tuple[Operator, ...]:
    """Give the operators that a runtime (a key of `runtimes.json`) does not know, or not in that version."""
    known = runtimes()[runtime]
    return tuple(op for op in used if not op.custom and op.version > known.get(op.name, 0))


def told(runtime: str, strange: Sequence[Operator]) -> str:
    """Say what a runtime does not know of these operators, and what it knows instead."""
    known = runtimes()[runtime]
    each = (f"{op} (it knows {_upto(known.get(op.name, 0))})" for op in strange)
    return f"{runtime} does not know {'; '.join(each)}"


@cache
def runtimes() -> Mapping[str, Mapping[str, int]]:
    """Give, for each runtime, the greatest version that it knows of each built-in operator, as it answered itself."""
    found: Mapping[str, Mapping[str, int]] = json.loads((Path(__file__).parent / "runtimes.json").read_text())
    return found


def _upto(version: int) -> str:
    return f"versions up to {version}" if version else "none of that name"


def _layers(root: object) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for graph in (root.Subgraphs(n) for n in range(root.SubgraphsLength())):  # type: ignore[attr-defined]
        for operator in (graph.Operators(n) for n in range(graph.OperatorsLength())):
            names = [
                (graph.Tensors(operator.Outputs(n)).Name() or b"").decode(errors="replace")
                for n in range(operator.OutputsLength())
            ]
            layer = next((name.partition(";")[0] for name in names if name), "a layer without a name")
            found.setdefault(operator.OpcodeIndex(), []).append(layer)
    return found
