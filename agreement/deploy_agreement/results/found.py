"""What was looked for beyond the rows: the worst input, the place where two models part, the step that differs; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy_agreement.figures import in_json
from deploy_core.signature import Tensors


@dataclass(frozen=True)
class Worst:
    """The input on which two predictors were found to differ most; `over` is the deviation in units of its tolerance.

    `inputs` is one row, or a whole batch where only that shows it; the same `seed` and the same number of inputs `tried`
    find it again. `file` is where it is saved. With `counts` false it is told, and no disagreement: nobody promises how far
    an int8 variant is off where nothing was measured.
    """

    subject: str
    against: str
    output: str
    over: float
    place: tuple[int, ...]
    want: float
    got: float
    limit: float
    inputs: Tensors
    tried: int
    seconds: float
    seed: int
    method: str  # gradient · evolution
    file: str = ""
    began: float = 0.0  # `over` on the golden inputs, for comparison
    counts: bool = True

    @property
    def ok(self) -> bool:
        """Whether even this lies within the tolerance, or does not count."""
        return self.over <= 1 or not self.counts

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document; the input itself is in the file."""
        plain = {name: getattr(self, name) for name in ("subject", "against", "output", "tried", "seconds", "seed")}
        plain |= {
            "method": self.method,
            "file": self.file,
            "place": list(self.place),
            "ok": self.ok,
            "counts": self.counts,
        }
        values = {name: getattr(self, name) for name in ("over", "want", "got", "limit", "began")}
        # An integer is exact, which float64 is not.
        return plain | {name: in_json(one if isinstance(one, int) else float(one)) for name, one in values.items()}


@dataclass(frozen=True)
class Inside:
    """A tensor inside a model, without its values: what its runtime calls it, who made it, from what."""

    name: str
    operator: str  # as the format calls it: BatchNormalization, CONV_2D, aten::batch_norm
    layer: str = ""  # where the source names it: features.1, block1_conv1
    attributes: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        plain = {key: _attribute(value) for key, value in self.attributes.items()}
        return {
            "name": self.name,
            "operator": self.operator,
            "layer": self.layer,
            "attributes": plain,
            "inputs": list(self.inputs),
        }


@dataclass(frozen=True)
class Match:
    """A tensor of the one model and the tensor of the other that is the same thing; `over` as in `Worst`, 0 if equal."""

    one: Inside
    other: Inside
    by: str  # name · value · order
    off: float
    over: float

    @property
    def ok(self) -> bool:
        """Whether they agree."""
        return self.over <= 1

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        figures = {"off": in_json(self.off), "over": in_json(self.over), "by": self.by, "ok": self.ok}
        return {"one": self.one.to_json(), "other": self.other.to_json(), **figures}


@dataclass(frozen=True)
class Located:
    """Where two models part: `matches` in the order of computation, `first` the first that disagrees.

    None if they part nowhere that could be matched, `said` says so, or what differs: an attribute, weights, the operator.
    `reproduction` is a folder with that one operator, its inputs and a script that shows the difference.
    """

    subject: str
    against: str
    matches: tuple[Match, ...] = ()
    first: Match | None = None
    said: str = ""
    reproduction: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "subject": self.subject,
            "against": self.against,
            "matched": len(self.matches),
            "first": self.first.to_json() if self.first else None,
            "matches": [match.to_json() for match in self.matches],
            "said": self.said,
            "reproduction": self.reproduction,
        }


@dataclass(frozen=True)
class StepSkew:
    """How far the two pipelines lie apart after one step, over all files: greatest and mean deviation."""

    step: str
    off: float | None  # None: of different shapes or dtypes
    mean: float | None
    limit: float
    ok: bool
    said: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        figures = {"off": in_json(self.off), "mean": in_json(self.mean), "limit": in_json(self.limit)}
        return {"step": self.step, **figures, "ok": self.ok, "said": self.said}


@dataclass(frozen=True)
class Skew:
    """How raw bytes become inputs where the model was trained and where it is served, compared step by step."""

    files: int
    steps: tuple[StepSkew, ...] = ()
    first: str = ""  # the first step that differs
    said: str = ""

    @property
    def ok(self) -> bool:
        """Whether something was compared, and no step differs."""
        return bool(self.files and self.steps) and all(step.ok for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        steps = [step.to_json() for step in self.steps]
        return {"files": self.files, "ok": self.ok, "first": self.first, "said": self.said, "steps": steps}


def _attribute(value: object) -> Any:
    """A padding mask fills with minus infinity, for one."""
    if isinstance(value, float):
        return in_json(float(value))
    return value if isinstance(value, int | str) else repr(value)
