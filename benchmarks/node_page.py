"""The page about the translated operators, written from a measurement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.node_runs import CONSTANT, PASS, TFLITE

_PACKAGES = ("onnx", "tensorflow", "ai-edge-litert", "numpy")
_LONGEST_REASON = 110


def versions() -> dict[str, str]:
    """Give the versions of what the measurement ran."""
    return {name: version(name) for name in _PACKAGES}


def page(document: dict[str, Any], summary: Sequence[str]) -> str:
    """Give the Markdown text."""
    return "\n".join(_lines(document, summary)) + "\n"


def _lines(document: dict[str, Any], summary: Sequence[str]) -> Iterator[str]:
    used = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    yield "# ONNX operators in SavedModel and TFLite"
    yield ""
    yield "Models from PyTorch and ONNX reach SavedModel and TFLite by this toolkit's own translation of ONNX to TensorFlow."
    yield "The ONNX standard has tests for every operator; this page says how many of them give the right answer after"
    yield "the whole way: the translated SavedModel, loaded and run by TensorFlow, and the TFLite file, run by LiteRT."
    yield ""
    yield from (f"- {line}" for line in summary)
    yield ""
    yield f"Measured on {document['date']} with {used}; written by `python -m benchmarks.node_tests --write docs/operators.md`."
    yield "`benchmarks/node_tests.txt` lists the cases that count, with the rules that chose them. The tolerances are the"
    yield "standard's own (relative 1e-3, absolute 1e-7). Shape-like inputs (axes, sizes, pads) are fed by the tests;"
    yield "exporters write them as constants. TFLite *refuses* what it has no operator for, most of all float64 and the"
    yield "rarer integers: then no file is written."
    yield ""
    yield "| operator | cases | SavedModel | TFLite | what does not pass, and why |"
    yield "| --- | ---: | ---: | ---: | --- |"
    yield from _rows(document)


def _rows(document: dict[str, Any]) -> Iterator[str]:
    by_operator: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in document["cases"]:
        by_operator[case["operator"]].append(case)
    for operator, cases in sorted(by_operator.items()):
        passed = [sum(case[way]["state"] == PASS for case in cases) for way in (CONSTANT, TFLITE)]
        yield f"| {operator} | {len(cases)} | {passed[0]} | {passed[1]} | {'; '.join(_problems(cases))} |"


def _problems(cases: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say each reason once, with the cases that have it."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for case in cases:
        for way in (CONSTANT, TFLITE):
            if case[way]["state"] != PASS and not (way == TFLITE and case[CONSTANT]["state"] != PASS):
                names[way, _short(case[way]["reason"])].append(case["name"].removeprefix("test_"))
    for (way, reason), having in names.items():
        title = "SavedModel" if way == CONSTANT else "TFLite"
        yield f"{title}: {reason} ({having[0] if len(having) == 1 else f'{having[0]} and {len(having) - 1} more'})"


def _short(reason: str) -> str:
    clean = reason.replace("|", "/").replace("`", "'").replace("<", "‹").replace(">", "›").replace("*", "·")
    return clean if len(clean) <= _LONGEST_REASON else f"{clean[: _LONGEST_REASON - 1]}…"
