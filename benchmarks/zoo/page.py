"""The page of the zoo, made from its results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.zoo import pairs
from benchmarks.zoo.model import Model
from benchmarks.zoo.results import OURS, PUBLIC, Outcome

Results = Mapping[tuple[str, str, str], Outcome]
_FORMATS = tuple(dict.fromkeys(name for names in pairs.DENOMINATOR.values() for name in names))
_MACHINE = re.compile(
    r"(/[\w.+-]+)+/|\x1b?\[\d+m| \(the whole story is in [^)]*\)| For more information, run with [^!]*"
)
_COMMAND = "python -m benchmarks.zoo --public-python PYTHON --models-folder DIR --write docs/zoo.md"


def summary(models: Sequence[Model], results: Results) -> str:
    """Give the figures that the zoo is run for, as lines."""
    counted = [(model.name, name) for model in models for name in pairs.formats(model)]
    ours = [results.get((*pair, "ours")) for pair in counted]
    public = [results.get((*pair, "public")) for pair in counted]
    verdicts = Counter(outcome.verdict if outcome else "not run" for outcome in ours)
    better = [pair for pair, a, b in zip(counted, ours, public, strict=True) if b and b.good and not (a and a.good)]
    theirs = Counter(outcome.verdict for outcome in public if outcome)
    run = len(counted) - verdicts["not run"]
    both = sum(a is not None and b is not None and b.verdict != "none" for a, b in zip(ours, public, strict=True))
    share, of_run = (100 * verdicts["verified"] / max(1, count) for count in (len(counted), run))
    wrong = ", ".join(f"{verdict} {theirs[verdict]}" for verdict in PUBLIC if theirs[verdict])
    return "\n".join(
        [
            f"- {len(models)} models, {len(counted)} pairs: **{verdicts['verified']} verified ({share:.1f} %)**, "
            + ", ".join(f"{verdict} {verdicts[verdict]}" for verdict in (*OURS[1:], "not run") if verdicts[verdict])
            + (f"; of the {run} that were run {of_run:.1f} %" if run < len(counted) else ""),
            f"- Proved pairs that `deploy check` then accuses: {verdicts['accused']}.",
            f"- Files written that disagree with their model: {verdicts['disagrees']}; the proof finds them, none is stored.",
            f"- The public routes on the same pairs: {wrong or 'not run'}.",
            f"- Pairs that a public route gets right and we do not: {len(better)}, of {both} where both ran"
            + (f" ({', '.join(' → '.join(pair) for pair in better)})" if better else "")
            + ".",
            _state(ours),
        ]
    )


def _state(ours: Sequence[Outcome | None]) -> str:
    """Say which code the results are of: figures of several states are no result of any."""
    commits = Counter(outcome.commit or "unknown" for outcome in ours if outcome)
    told = ", ".join(f"{name} ({count} pairs)" if len(commits) > 1 else name for name, count in commits.most_common())
    unfinished = "" if None not in ours else "; the run is not finished"
    return f"- Our side is of {'commit' if len(commits) < 2 else 'the commits'} {told or 'none yet'}{unfinished}."


def page(models: Sequence[Model], results: Results, tools: str) -> str:
    """Give the whole page."""
    dates = sorted({outcome.date for outcome in results.values() if outcome.date})
    parts = [
        "# The zoo",
        "",
        "Real architectures, small and with seeded or shipped weights, exported to every format by `deploy export` and,",
        "beside it, by the public route; both judged by the same comparison at the same sizes with the same tolerance.",
        "What `deploy export` proved is then asked again by `deploy check` with all its probes: an honest pair that it",
        "says no to would be `accused`.",
        f"Made by `{_COMMAND}`" + (f", {dates[0]} to {dates[-1]}" if dates else "") + f", with {tools}.",
        "",
        summary(models, results),
        "",
        *_by_format(models, results),
        *_legend(),
        *(
            _table(origin, [model for model in models if model.origin == origin], results)
            for origin in _origins(models)
        ),
        "## Why not",
        "",
        *_reasons(models, results),
        "",
    ]
    return "\n".join(parts)


def _by_format(models: Sequence[Model], results: Results) -> Iterable[str]:
    yield "| format | pairs | verified | other verdicts | public: right | other verdicts |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in _FORMATS:
        pairs_of = [model.name for model in models if name in pairs.formats(model)]
        ours, public = (_verdicts(results, pairs_of, name, by) for by in ("ours", "public"))
        yield (
            f"| {name} | {len(pairs_of)} | {ours.pop('verified', 0)} | {_counted(ours)} "
            f"| {public.pop('right', 0)} | {_counted(public)} |"
        )
    yield ""


def _verdicts(results: Results, models: Iterable[str], name: str, by: str) -> Counter[str]:
    found = (results.get((model, name, by)) for model in models)
    return Counter("not run" if outcome is None else outcome.verdict for outcome in found)


def _counted(verdicts: Counter[str]) -> str:
    return ", ".join(f"{verdict} {count}" for verdict, count in verdicts.most_common()) or "–"


def _legend() -> Iterable[str]:
    yield "Each cell: our verdict (seconds of the route's steps, megabytes) / the public route's verdict."
    yield "Ours: " + " · ".join(OURS) + ". Public: " + " · ".join(PUBLIC) + " (none: there is no public route)."
    yield "The public routes: torch.onnx.export, torch.export, torch.jit.trace and litert-torch from torch;"
    yield "model.export (SavedModel, ONNX) and TFLiteConverter.from_keras_model from Keras."
    yield "Seconds are of wall clock on two cores with other work beside; not run: the run has not come to it."
    yield "The denominator, which kind of source × which format, is in `benchmarks/zoo/pairs.py`."
    yield ""


def _origins(models: Sequence[Model]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model.origin for model in models))


def _table(origin: str, models: Sequence[Model], results: Results) -> str:
    columns = [name for name in _FORMATS if any(name in pairs.formats(model) for model in models)]
    head = ["model", "kind", "dynamic", *columns]
    rows = [[model.name, model.kind, ", ".join(model.free), *_cells(model, columns, results)] for model in models]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([f"## {origin}", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def _cells(model: Model, columns: Sequence[str], results: Results) -> list[str]:
    counted = pairs.formats(model)
    return [_cell(results, model.name, name) if name in counted else "–" for name in columns]


def _cell(results: Results, model: str, name: str) -> str:
    ours, public = results.get((model, name, "ours")), results.get((model, name, "public"))
    told = "not run" if ours is None else f"**{ours.verdict}**" if not ours.good else _figures(ours)
    return told if public is None else f"{told} / {public.verdict}"


def _figures(outcome: Outcome) -> str:
    return f"{outcome.verdict} ({outcome.seconds:g} s, {outcome.megabytes:g} MB)"


def _reasons(models: Sequence[Model], results: Results) -> Iterable[str]:
    for model in models:
        yield from _told(model, "ours", results)
        yield from _told(model, "public", results)


def _told(model: Model, by: str, results: Results) -> Iterable[str]:
    """One line for each reason, with all formats that it holds for."""
    told: dict[str, list[str]] = {}
    for name in pairs.formats(model):
        outcome = results.get((model.name, name, by))
        if outcome is not None and not outcome.good and outcome.verdict != "none":
            told.setdefault(f"{outcome.verdict}: {_escaped(outcome.reason)}", []).append(name)
    return (f"- {model.name} → {', '.join(names)} ({by}) {reason}" for reason, names in told.items())


def _escaped(text: str) -> str:
    """A reason without paths of the machine that it was found on, colours, and what would break a table."""
    plain = _MACHINE.sub("", text).replace("`", "'").replace("|", "/")
    return f"`{plain[:300].strip()}`"
