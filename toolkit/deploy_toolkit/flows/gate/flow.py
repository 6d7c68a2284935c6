"""Runs the steps of a gate, each as a process of its own: one that crashes takes no other with it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy_core import child
from deploy_core.errors import UsageError, first_line
from deploy_toolkit.flows.gate.plan import Plan, Step
from deploy_toolkit.flows.gate.result import MEANS, Outcome, Result
from deploy_toolkit.output import OnEvent, silent

_GRACE = 30.0  # seconds for a step to end its servers and to remove what is half written
_LOOK = 0.25


def gate(plan: Plan, *, on_event: OnEvent = silent) -> Result:
    """Run all steps, also after one that failed; those that need a model whose export failed are skipped.

    Raises UsageError if there is no folder for what they find.
    """
    _make(plan.out)
    outcomes: list[Outcome] = []
    missing: set[str] = set()
    for number, step in enumerate(plan.steps, start=1):
        on_event(f"{number} of {len(plan.steps)}: {' '.join(step.args[:2])}")
        outcome = _outcome(plan, step, missing, on_event)
        if step.kind == "export" and outcome.exit_code != 0:
            missing |= set(step.models)
        outcomes.append(outcome)
        on_event(f"{step.name} {outcome.verdict}" + (f": {outcome.said}" if outcome.said else ""))
    return Result(plan, tuple(outcomes))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {first_line(error)}", hint="name another with --out") from error


def _outcome(plan: Plan, step: Step, missing: set[str], on_event: OnEvent) -> Outcome:
    if lost := [model for model in step.models if model in missing]:
        # An older version of that name may be stored: what is said of it would not be said of what was to be exported.
        return Outcome(step, None, said=f"the export of {lost[0]} failed")
    document, log = (plan.out / f"{step.name}.{ending}" for ending in ("json", "log"))
    for old in filter(None, (document, log, step.page, step.cases)):
        old.unlink(missing_ok=True)
    began = time.monotonic()
    code = _run(plan, step, document, log, on_event)
    seconds = time.monotonic() - began
    found = _read(document)
    if found is None:
        document.unlink(missing_ok=True)
    if code is None:
        return Outcome(step, 1, seconds, f"took longer than {plan.timeout:g} s and was ended", log=log)
    if code == 0 and found is None:
        return Outcome(step, 1, seconds, "ended well, and gave no document", log=log)
    said = "" if code == 0 else _said(code, step.kind, found, log)
    return Outcome(step, code, seconds, said, document if found is not None else None, log)


def _run(plan: Plan, step: Step, document: Path, log: Path, on_event: OnEvent) -> int | None:
    """Run a step to its end and give its exit code; None if it took too long."""
    command = (sys.executable, "-P", "-m", "deploy_toolkit.cli", *plan.words(step)[1:], "--json")
    process = child.start(
        f"gate {step.name}", command, log=log, out=document, cwd=plan.folder, death_signal=signal.SIGTERM
    )
    try:
        end, last = time.monotonic() + plan.timeout, ""
        while process.wait(_LOOK) is None:
            if time.monotonic() > end:
                return None
            if (line := process.log_tail(1)) != last:
                last = line
                on_event(f"{step.name}: {line}")
        return process.returncode if process.returncode in MEANS else 1
    finally:
        process.stop(_GRACE)


def _read(document: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(document.read_text())
    except (OSError, ValueError):
        return None  # it ended before it had a result, and said why in its log
    return found if isinstance(found, dict) else None


def _said(code: int, kind: str, document: dict[str, Any] | None, log: Path) -> str:
    """Say in a sentence why a step failed: what its document holds against it, else its error."""
    found = list(_WHY[kind](document)) if document and kind in _WHY else []
    if found:
        return f"{MEANS[code]}: {'; '.join(found[:3])}" + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if line.startswith("error: ")] or lines[-1:]
    return f"{MEANS[code]}: {errors[-1].removeprefix('error: ')}" if errors else MEANS[code]


def _disagreeing(document: dict[str, Any]) -> Iterator[str]:
    for row in document.get("rows", ()):
        if row["verdict"] == "agree" or row["unproved"]:
            continue
        told = [row["error"]] if row["error"] else [problem["message"] for problem in row["problems"]]
        told += [f"output {output['name']!r} is off{_by(output)}" for output in row["outputs"] if not output["ok"]]
        told += [f"{check['name']}: {check['said']}" for check in row["checks"] if check["verdict"] == "disagree"]
        yield f"{row['subject']}: {told[0] if told else row['verdict']}"


def _by(output: dict[str, Any]) -> str:
    off = output["max_abs"]
    return f" by {off:.2g}" if isinstance(off, float) else ""


def _unheld(document: dict[str, Any]) -> Iterator[str]:
    for judged in document.get("judged", ()):
        if judged["verdict"] != "held":
            yield f"{judged['subject']}: {judged['limit']} is {judged['verdict']}"


_WHY = {"check": _disagreeing, "bench": _unheld}
