"""What is printed, and the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from benchmarks.faults.honest import Pair
from benchmarks.faults.judging import DEFAULT, Verdict
from benchmarks.zoo.__main__ import tools

_SAID = 150  # characters
_PLACE = re.compile(
    r"(?<=grpc)://[^\s/]+/\w+|(?<=rest)://[^\s/]+/\w+|/\S*/(?=[\w-]+\.\w)"
)  # ports and folders of one run


def summary(verdicts: Sequence[Verdict], pairs: Sequence[Pair], seconds: float) -> str:
    """Give the counts in a few lines, and what went wrong."""
    lines = [*_counts(verdicts, pairs), f"{seconds:.0f} s"]
    lines += [f"missed: {one.fault.name} ({one.fault.where}, {one.fault.model})" for one in verdicts if not one.found]
    lines += [f"not named: {one.fault.name}" for one in verdicts if one.found and not one.named]
    lines += [f"operator not named: {one.fault.name}" for one in verdicts if one.inside is False]
    lines += [f"accused: {pair.model}, {pair.what}: {pair.said}" for pair in pairs if not pair.ok]
    return "\n".join(lines)


def page(verdicts: Sequence[Verdict], pairs: Sequence[Pair], seconds: float, command: str) -> str:
    """Give the page."""
    kinds = len({one.fault.kind for one in verdicts})
    return "\n".join(
        [
            "# Planted faults",
            "",
            f"{len(verdicts)} faults of {kinds} kinds, planted one at a time in files, in servers and between client and",
            f"server, and {len(pairs)} honest pairs beside them. Written on {datetime.now(UTC).date().isoformat()} in"
            f" {seconds / 60:.0f} minutes by",
            f"`{command}`; {tools()}.",
            "",
            *[f"- {line}" for line in _counts(verdicts, pairs)],
            "",
            "*Found by* says which options it took: no option, `--search 3`, or `--raw` with a file of bytes. *Named* says whether the report names the guilty",
            "output, row, batch size or check, and for what sits inside of a model, whether `--localise` names the operator",
            "or layer. *The usual check* is one random input through both, and `numpy.allclose`, with rtol = atol = 1e-5, or",
            "rtol = 1e-3 and atol = 1e-5, on the one answer; for servers it is even asked of the endpoint. Seconds are those",
            "of one subject among others of its model, without the search.",
            "",
            *_faults(verdicts),
            "",
            "## Honest pairs",
            "",
            "*Accused* must be empty. The usual check cannot be right with both: a tolerance that passes honest pairs passes",
            "faults, too. `python -m benchmarks.zoo` asks all pairs of [the zoo](zoo.md) in the same way.",
            "",
            *_pairs(pairs),
            "",
        ]
    )


def _counts(verdicts: Sequence[Verdict], pairs: Sequence[Pair]) -> list[str]:
    lines = []
    if verdicts:
        found = [one for one in verdicts if one.found]
        inside = [one for one in verdicts if one.inside is not None]
        lines += [
            f"`deploy check` finds {len(found)} of {len(verdicts)} planted faults,"
            f" {sum(one.by == DEFAULT for one in found)} with no option at all",
            f"the culprit is named for {sum(one.named for one in found)} of them;"
            f" the operator for {sum(bool(one.inside) for one in inside)} of {len(inside)}",
            f"the usual check finds {sum(one.usual for one in verdicts)} of {len(verdicts)} at 1e-5,"
            f" {sum(one.loose for one in verdicts)} at rtol 1e-3",
        ]
    if pairs:
        asked = [pair for pair in pairs if pair.usual is not None]
        lines += [
            f"`deploy check` accuses {sum(not pair.ok for pair in pairs)} of {len(pairs)} honest pairs",
            f"the usual check accuses {sum(pair.usual is False for pair in asked)} of {len(asked)} at 1e-5,"
            f" {sum(pair.loose is False for pair in asked)} at rtol 1e-3",
        ]
    return lines


def _faults(verdicts: Sequence[Verdict]) -> list[str]:
    head = ["fault", "kind", "where", "model", "found by", "named", "operator", "1e-5", "1e-3", "s", "what it says"]
    rows = [
        [
            one.fault.name,
            one.fault.kind,
            one.fault.where,
            one.fault.model,
            one.by or "**missed**",
            _yes(one.named),
            "–" if one.inside is None else _yes(one.inside),
            "found" if one.usual else "missed",
            "found" if one.loose else "missed",
            f"{one.seconds:.1f}",
            _short(one.said),
        ]
        for one in sorted(verdicts, key=lambda one: (one.fault.kind, one.fault.name))
    ]
    return _table(head, rows)


def _pairs(pairs: Sequence[Pair]) -> list[str]:
    word: Callable[[bool | None], str] = lambda ok: "–" if ok is None else "passes" if ok else "accuses"  # noqa: E731
    rows = [
        [
            pair.model,
            pair.what,
            "" if pair.ok else f"**accused**: {_short(pair.said)}",
            word(pair.usual),
            word(pair.loose),
        ]
        for pair in pairs
    ]
    return _table(["model", "pair", "accused", "usual check, 1e-5", "1e-3"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"


def _short(text: str) -> str:
    """Give the beginning in one line, without what differs from run to run."""
    line = " ".join(_PLACE.sub("", text).replace("|", "/").split())
    return line if len(line) <= _SAID else f"{line[:_SAID]}…"
