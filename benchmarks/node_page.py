"""The page about the translated operators, written from a measurement."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from textwrap import wrap
from typing import Any

from benchmarks.node_runs import CONSTANT, PASS, TFLITE

_PACKAGES = ("onnx", "tensorflow", "ai-edge-litert", "numpy")
_LONGEST_REASON = 110
_WIDTH = 120
_KINDS = (  # of what is told of a case: a pattern, the kind that it is, and what of it is worth saying
    (r"no translation of (.+)", "no translation", r"\1"),
    (r"cannot be translated to TensorFlow: (.+)", "no translation", r"\1"),
    (r"TFLite has no operators of its own for (.+)", "no file, as TFLite has no such operator", r"\1"),
    (r"(\w+) location mismatch", "another answer", r"\1 in other places"),
    (r"Mismatched elements: (\d+) / (\d+)", "another answer", r"\1 of \2 elements"),
    (r"\S+ is \w+\[.*wanted is .*", "another shape or dtype", r"\g<0>"),
)


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
    yield "| operator | cases | SavedModel | TFLite |"
    yield "| --- | ---: | ---: | ---: |"
    yield from _rows(document)
    yield ""
    yield "## What does not pass, and why"
    yield ""
    yield "TFLite's lists leave out what does not pass through SavedModel either."
    yield from _problems(document)


def _rows(document: dict[str, Any]) -> Iterator[str]:
    by_operator: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in document["cases"]:
        by_operator[case["operator"]].append(case)
    for operator, cases in sorted(by_operator.items()):
        passed = [sum(case[way]["state"] == PASS for case in cases) for way in (CONSTANT, TFLITE)]
        yield f"| {operator} | {len(cases)} | {passed[0]} | {passed[1]} |"


def _problems(document: dict[str, Any]) -> Iterator[str]:
    """List the cases by the kind of their reason, then by the reason."""
    names: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for way, title in ((CONSTANT, "SavedModel"), (TFLITE, "TFLite")):
        for case in document["cases"]:
            if case[way]["state"] != PASS and (way == CONSTANT or case[CONSTANT]["state"] == PASS):
                kind, reason = _reason(case[way]["reason"])
                names[f"{title}: {kind}"][reason].append(case["name"].removeprefix("test_"))
    for title, by_reason in names.items():
        yield from ("", f"### {title} ({sum(map(len, by_reason.values()))})", "")
        for reason, having in sorted(by_reason.items(), key=lambda row: row[1]):
            yield from wrap(f"- {reason}: {', '.join(having)}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _reason(told: str) -> tuple[str, str]:
    for pattern, kind, words in _KINDS:
        if found := re.search(pattern, told):
            return kind, _plain(found.expand(words))
    return "an error", _plain(told)


def _plain(text: str) -> str:
    """Say it in one short piece of text that Markdown takes as it is."""
    clean = text.replace("`", "'").replace("<", "‹").replace(">", "›").replace("*", "·")
    return clean if len(clean) <= _LONGEST_REASON else f"{clean[: _LONGEST_REASON - 1]}…"
