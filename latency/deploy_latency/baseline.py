"""An earlier run, read back from the document that `deploy bench --json` wrote, to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy_core.errors import UsageError
from deploy_latency import histogram
from deploy_latency.estimate import Estimate

_HINT = "give the document that deploy bench --json wrote"


@dataclass(frozen=True)
class Baseline:
    """One subject of that run: its figures with their intervals, and the figures of its rounds, both by name."""

    subject: str
    figures: Mapping[str, Estimate] = field(default_factory=dict)
    rounds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    histogram: str = ""

    def estimate(self, name: str) -> Estimate:
        """Give a figure; a percentile that was not reported comes from the histogram, and then has no interval.

        Raises UsageError if there is neither.
        """
        if name in self.figures:
            return self.figures[name]
        if name.startswith("p") and self.histogram:
            counted = histogram.decode(self.histogram)
            return Estimate(histogram.percentile(counted, float(name[1:])), None, None, counted.get_total_count())
        raise UsageError(f"the baseline has no {name} of {self.subject}", hint="bench it again, or name another figure")


def read(document: Mapping[str, Any]) -> dict[str, Baseline]:
    """Read what was measured, by subject. Raises UsageError for a document of another kind."""
    try:
        found = [_baseline(each) for each in document["measured"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"the baseline is no report of a benchmark: {type(error).__name__}: {error}", hint=_HINT
        ) from error
    if not found:
        raise UsageError("the baseline measured nothing", hint=_HINT)
    return {each.subject: each for each in found}


def of_subject(baselines: Mapping[str, Baseline], subject: str) -> Baseline:
    """Choose the one of that name, or the only one there is. Raises UsageError where that is not clear."""
    if subject in baselines:
        return baselines[subject]
    if len(baselines) == 1:
        return next(iter(baselines.values()))
    raise UsageError(f"the baseline has no {subject}", hint=f"it has {', '.join(baselines)}")


def _baseline(measured: Mapping[str, Any]) -> Baseline:
    figures = {name: _estimate(each) for name, each in measured["latency"].items()}
    figures["rate"] = _estimate(measured["rate"])
    if measured.get("mean") is not None:
        figures["mean"] = Estimate(float(measured["mean"]), None, None, int(measured["requests"]))
    rounds: Mapping[str, Sequence[Any]] = measured.get("facts", {}).get("rounds", {})
    kept = {name: tuple(_known(value) for value in values) for name, values in rounds.items()}
    return Baseline(str(measured["subject"]), figures, kept, str(measured.get("histogram", "")))


def _estimate(said: Mapping[str, Any]) -> Estimate:
    value, low, high = (_number(said[name]) for name in ("value", "low", "high"))
    return Estimate(value, low, high, int(said["n"]), int(said["needs"]), float(said["confidence"]))


def _number(value: Any) -> float | None:
    """Read a number as JSON has it; infinity may be a string there."""
    return None if value is None else float(value)


def _known(value: Any) -> float:
    return float("nan") if value is None else float(value)
