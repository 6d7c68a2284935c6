"""Our side of a model, in a process of its own: export and then check as a user runs them, with as many formats at once as go."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.zoo import registry
from benchmarks.zoo.model import Model
from benchmarks.zoo.results import Outcome, append
from deploy_agreement import Agreement
from deploy_core.artifact import size_of
from deploy_core.errors import DeployError
from deploy_core.signature import TensorSpec
from deploy_exporters.routes import REFUSED, ROUTES
from deploy_toolkit.flows import check
from deploy_toolkit.flows.export import Exported, Request, export

_WRITING = "writing "
# What a worker says of an error that is no DeployError, and of its own end.
_UNFORESEEN = re.compile(r"^\w+ failed:|worker process|did not end")


class Watch:
    """Hears what the flow does, and when."""

    def __init__(self) -> None:
        self.events: list[tuple[str, float]] = []

    def __call__(self, event: str) -> None:
        """Take one event."""
        self.events.append((event, time.perf_counter()))

    @property
    def step(self) -> str:
        """The step that was being taken at last, empty before the first and after the last."""
        last = self.events[-1][0] if self.events else ""
        return last.removeprefix(_WRITING) if last.startswith(_WRITING) else ""

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each step."""
        ends = [*(at for _, at in self.events[1:]), time.perf_counter()]
        timed = zip(self.events, ends, strict=True)
        return {event.removeprefix(_WRITING): end - at for (event, at), end in timed if event.startswith(_WRITING)}


def outcomes(model: Model, formats: Sequence[str], store: Path) -> list[Outcome]:
    """Export to all formats at once, and check; what cannot be exported is left out, and the others are tried again."""
    found = {name: _refused(model, name) for name in formats if (model.kind, name) not in ROUTES}
    while left := [name for name in formats if name not in found]:
        found |= _attempt(model, left, store)
    return [found[name] for name in formats]


def _attempt(model: Model, formats: Sequence[str], store: Path) -> dict[str, Outcome]:
    watch = Watch()
    request = Request(
        model.location,
        tuple(formats),
        name=model.name,
        inputs=tuple(map(TensorSpec.parse, model.inputs)),
        ranges={symbol: (least, greatest) for symbol, least, greatest in model.ranges},
    )
    try:
        done = export(request, store=store, on_event=watch)
    except DeployError as error:
        return _blamed(model, formats, watch, error)
    rows = _checked(model, store)
    return {name: accused(model, name, rows) or _verified(model, done, name, watch) for name in formats}


def _checked(model: Model, store: Path) -> Mapping[str, Agreement]:
    """Ask as `deploy check MODEL` does; the rows by artifact."""
    report = check.check(check.Request((model.name,)), store=store)
    return {row.subject.rpartition("/")[2]: row for row in report.rows}


def accused(model: Model, name: str, rows: Mapping[str, Agreement]) -> Outcome | None:
    """Give the outcome of a file that was proved and that `deploy check` then says no to, or to its reference."""
    asked = [rows[one] for one in (name, "reference") if one in rows]
    why = "; ".join(row.why for row in asked if not row.ok)
    if name in rows and not why:
        return None
    return Outcome(model.name, name, "ours", "accused", _short(why or "deploy check did not ask it"))


def _verified(model: Model, done: Exported, name: str, watch: Watch) -> Outcome:
    artifact = next(each for each in done.version.artifacts if each.name == name)
    spent = sum(watch.seconds.get(step, 0.0) for step in ROUTES[model.kind, name])
    changes = "; ".join(map(str, artifact.changes))
    size = size_of(artifact.path) / 1e6
    return Outcome(
        model.name, name, "ours", "verified", changes, round(spent, 1), round(size, 2), " → ".join(artifact.route)
    )


def _blamed(model: Model, formats: Sequence[str], watch: Watch, error: DeployError) -> dict[str, Outcome]:
    told = f"{error} ({error.hint})" if error.hint and "whole story" not in error.hint else str(error)
    report = getattr(error, "report", None)
    if report is not None:
        bad = {row.subject: row for row in report.rows if not row.ok}
        named = {name: _judged(model, name, bad[name]) for name in formats if name in bad}
        return named or _all(model, formats, "failed", f"{', '.join(bad)}: {told}")
    step = watch.step
    verdict = "frozen" if "froze" in told else "failed" if _UNFORESEEN.search(told) else "refused"
    through = [name for name in formats if step in ROUTES[model.kind, name]]
    return _all(model, through or formats, verdict, f"{step or 'opening'}: {told}")


def _judged(model: Model, name: str, row: Agreement) -> Outcome:
    kinds = {problem.kind for problem in row.problems}
    frozen = (bool(kinds) and kinds <= {"frozen-batch", "frozen-dimension"}) or "froze" in row.why
    verdict = "frozen" if frozen else "failed" if row.verdict == "failed" else "disagrees"
    return Outcome(model.name, name, "ours", verdict, _short(row.why))


def _refused(model: Model, name: str) -> Outcome:
    reason = REFUSED.get((model.kind, name), f"there is no route from {model.kind} to {name}")
    return Outcome(model.name, name, "ours", "refused", reason)


def _all(model: Model, formats: Sequence[str], verdict: str, reason: str) -> dict[str, Outcome]:
    return {name: Outcome(model.name, name, "ours", verdict, _short(reason)) for name in formats}


def _short(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"(/[\w.-]+){3,}/", "", text))[:600]


def main(name: str, formats: str, results: str) -> None:
    """Write the outcomes of one model to a file."""
    with TemporaryDirectory(prefix="zoo-store-") as store:
        append(Path(results), outcomes(registry.named(name), formats.split(","), Path(store)))


if __name__ == "__main__":
    main(*sys.argv[1:])
