"""The page of what a GPU answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.gpu.measuring import SIZES, WARM_UP, Result

COMMAND = "python -m benchmarks.gpu --write docs/gpu.md"


def page(parts: Mapping[str, Sequence[Result]], machine: Sequence[str], requests: int) -> str:
    """Give the whole page: a table for each part, and why what failed did."""
    results = [result for part in parts.values() for result in part]
    return "\n".join(
        [
            "# On a GPU",
            "",
            f"What a GPU answers for models that were trained on the CPU, and how fast. Written by `{COMMAND}`.",
            "",
            *(f"- {line}" for line in machine),
            "",
            *_verdict(results),
            "",
            f"Latency is that of a closed loop: one client, which sends the next of {requests:,} requests when it has the",
            f"answer, after {WARM_UP} that are not counted. It tells how long one request takes on an idle machine, not how many a",
            "second can be served. Copying inputs to the GPU and outputs back is part of it.",
            "TensorFloat-32 is off everywhere: it rounds to ten bits, which is another model's answer.",
            "",
            *(line for name, part in parts.items() for line in (f"## {name}", "", *table(part), "")),
            *_reasons(results),
        ]
    )


def table(results: Iterable[Result]) -> list[str]:
    """Give a row for each result."""
    sizes = [f"{rows} row{'s' * (rows > 1)}: median, p99 (ms)" for rows in SIZES]
    head = ["model", "subject", "verdict", "max abs", "tolerance", *sizes]
    rows = [
        [result.model, result.subject, result.verdict, _number(result.max_abs), _number(result.tolerance)]
        + (_latencies(result) or ["–"] * len(SIZES))
        for result in results
    ]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _verdict(results: Sequence[Result]) -> list[str]:
    counts = {name: sum(result.verdict == name for result in results) for name in ("agree", "disagree", "failed")}
    told = f"{counts['agree']} agree, **{counts['disagree']} disagree**, {counts['failed']} could not be asked"
    return [f"{told} (why, is said below)." if counts["disagree"] + counts["failed"] else f"{told}."]


def _latencies(result: Result) -> list[str]:
    return [f"{one.median:.3f}, {one.p99:.3f}" for one in result.latencies]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _reasons(results: Sequence[Result]) -> list[str]:
    told = [f"- {one.model}, {one.subject}: {one.why}" for one in results if not one.ok]
    return ["## Why not", "", *told, ""] if told else []
