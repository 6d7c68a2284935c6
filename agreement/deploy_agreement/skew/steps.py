"""Two ways from raw bytes to a model's input: the steps that are served, and what training did; which step differs.

What training did may be one function that nobody can look into. Then the declared steps are changed, one mistake at a
time, until they give what training gave: that mistake is the skew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement.results.found import Skew, StepSkew
from deploy_agreement.skew.causes import Cause, Steps, causes, named
from deploy_agreement.skew.limits import DECODERS, EPS, Distance, distance, limits, worst
from deploy_core.preprocessing import Raw, running
from deploy_core.preprocessing.resizing import resize
from deploy_core.signature import Array

_SEARCHED = 3  # files among which a cause is searched
_BEST = 6  # causes to which a second is added
_NOTABLE = 0.02  # of the limit: below, nobody asks where it comes from


@dataclass(frozen=True)
class Prepared:
    """A raw file, and what each function of the training side made of it; the last is what the model was trained on."""

    name: str
    data: bytes
    stages: tuple[tuple[str, Array], ...]

    @property
    def last(self) -> Array:
        """What the model was trained on."""
        return self.stages[-1][1]


_OTHER_DECODER = (
    "training decodes JPEG by another library, some of which are fast and less exact, as TensorFlow's is without "
    'dct_method="INTEGER_ACCURATE"; a PNG shows the steps without it'
)


def skew(raw: Raw, files: Sequence[Prepared]) -> Skew:
    """Compare what serving makes of the files with what training made. Raises InputError for bytes that are no input."""
    served = [list(raw.stages(file.data)) for file in files]
    if not files:
        return Skew(0, said="there is nothing to compare: no raw file, or no answer of the training side")
    pairs = zip(files, served, strict=True)
    whole = worst(_whole(raw.steps, file, stages) for file, stages in pairs)
    exact = whole.within(_rounding(files), _NOTABLE)
    cause = None if exact else _cause(raw, files, whole)
    if (whole.ok and not (cause and cause.of_numbers)) or (whole.nearly and cause is None):
        return _agreeing(raw, files, served, whole, cause)
    rows = tuple(_rows(raw, files, served)) if any(len(file.stages) > 1 for file in files) else ()
    if cause is None:
        first = next((row.step for row in rows if not row.ok), "")
        shapes = _shapes(files, served)
        step = StepSkew("input of the model", whole.off, whole.mean, whole.limit, ok=False, said=shapes)
        told = _unexplained(first, shapes)
        return Skew(len(files), rows if first else (step,), first or "input of the model", told)
    steps = tuple(_against(raw, cause, files, served))
    return Skew(len(files), steps, cause.step, cause.said)


def _agreeing(
    raw: Raw, files: Sequence[Prepared], served: Sequence[list[Array]], whole: Distance, cause: Cause | None
) -> Skew:
    if whole.ok:
        said = "" if cause is None else f"within the rounding of pixels; {cause.said}"
        return Skew(len(files), tuple(_rows(raw, files, served)), said=said)
    step = StepSkew("input of the model", whole.off, whole.mean, whole.loose, ok=True)
    return Skew(len(files), (step,), said=_OTHER_DECODER)


def _whole(steps: Steps, file: Prepared, stages: Sequence[Array]) -> Distance:
    limit = limits(steps, file.data, stages)[-1]
    return distance(stages[-1], file.last, limit, limits(steps, file.data, stages, DECODERS)[-1])


def _rounding(files: Sequence[Prepared]) -> float:
    return EPS * max(float(np.abs(file.last.astype(np.float64)).max(initial=0)) for file in files)


def _unexplained(first: str, shapes: str) -> str:
    told = f"{first} differs" if first else "the inputs differ"
    told += f" ({shapes})" if shapes else ""
    return f"{told}, and no usual mistake explains it; name the functions of training one by one, as a list"


def _shapes(files: Sequence[Prepared], served: Sequence[list[Array]]) -> str:
    for file, stages in zip(files, served, strict=True):
        if distance(stages[-1], file.last, 0.0).off is None:
            return f"training gives shape {list(file.last.shape)}, serving {list(stages[-1].shape)}"
    return ""


def _rows(raw: Raw, files: Sequence[Prepared], served: Sequence[list[Array]]) -> Iterator[StepSkew]:
    """Compare stage by stage as far as training shows its stages: each with the declared step that comes next to it."""
    allowed = [limits(raw.steps, file.data, stages) for file, stages in zip(files, served, strict=True)]
    begin, last = 0, len(raw.steps) - 1
    for number, (name, _) in enumerate(files[0].stages):
        at_last = number == len(files[0].stages) - 1
        tried = {
            index: worst(
                _alike(stages[index], file.stages[number][1], limit[index])
                for file, stages, limit in zip(files, served, allowed, strict=True)
            )
            for index in ([last] if at_last else range(begin, len(raw.steps)))
        }
        index = next((index for index, found in tried.items() if found.ok), min(begin, last) if not at_last else last)
        found = tried[index]
        shown = "input of the model" if at_last and found.ok else raw.steps[index]["step"]
        yield StepSkew(shown, found.off, found.mean, found.limit, found.ok, f"training: {name}")
        begin = index + 1 if found.ok else begin


def _alike(served: Array, trained: Array, limit: float) -> Distance:
    """Compare in whichever layout the two have: a stage in between may have its channels elsewhere."""
    found = distance(served, trained, limit)
    if found.off is None and trained.ndim >= 3:
        return distance(served, np.moveaxis(trained, -3, -1), limit)
    return found


def _against(raw: Raw, cause: Cause, files: Sequence[Prepared], served: Sequence[list[Array]]) -> Iterator[StepSkew]:
    """Give a row for each declared step: equal before the step that differs, and how far off from there on."""
    others = [list(running.stages(cause.steps, file.data, resize)) for file in files]
    behind = len(cause.steps) - len(raw.steps)
    for index, step in enumerate(raw.steps):
        found = worst(
            distance(stages[index], _counterpart(other, index, cause.index, behind), limit)
            for file, stages, other in zip(files, served, others, strict=True)
            for limit in [limits(raw.steps, file.data, stages)[index]]
        )
        exact = index < cause.index or (found.ok and not cause.of_numbers)
        said = cause.said if index == min(cause.index, len(raw.steps) - 1) else ""
        yield StepSkew(step["step"], found.off, found.mean, found.limit, exact, said)


def _counterpart(stages: Sequence[Array], index: int, changed: int, behind: int) -> Array:
    place = index if index < changed else index + behind
    return stages[min(max(place, 0), len(stages) - 1)]


def _cause(raw: Raw, files: Sequence[Prepared], whole: Distance) -> Cause | None:
    """Find the mistake, or the two, that make of the bytes what training made of them."""
    search = _Search(files[:_SEARCHED])
    single = _better(search.ranked(causes(raw.steps)), whole, 0.8)
    if single and single[0][0].ok:
        return single[0][1]
    if numbers := search.numbers(raw.steps):
        return numbers
    if whole.nearly:
        return None
    begun = [cause for _, cause in single][:_BEST]
    double = _better(search.ranked(_doubled(begun)), whole, 0.8)
    if double and double[0][0].ok:
        return double[0][1]
    if numbers := next((found for cause in begun if (found := search.numbers(cause.steps, cause))), None):
        return numbers
    # What is left may be the decoders'; one mistake is likelier than two.
    near = [cause for found, cause in (*_better(single, whole, 0.5), *double) if found.nearly]
    return near[0] if near else None


def _better(found: list[tuple[Distance, Cause]], whole: Distance, share: float) -> list[tuple[Distance, Cause]]:
    """Keep the causes that leave at most that share of the difference; what changes nothing explains nothing."""
    most = float("inf") if whole.mean is None else share * whole.mean
    return [pair for pair in found if pair[0].mean is not None and pair[0].mean <= most]


def _doubled(begun: Sequence[Cause]) -> Iterator[Cause]:
    for first in begun:
        for second in causes(first.steps):
            if second.step != first.step:
                one, two = sorted((first, second), key=lambda cause: cause.index)
                yield Cause(second.steps, one.index, one.step, one.training, f"{one.serving}; {two.said}")


class _Search:
    """Runs changed steps on a few files; what two ways of doing it have in common is run once."""

    def __init__(self, files: Sequence[Prepared]) -> None:
        self._files = files
        self._known: dict[tuple[int, str], Array] = {}

    def ranked(self, many: Iterator[Cause]) -> list[tuple[Distance, Cause]]:
        """Give the causes, those that explain best first."""
        found = [(self._off(cause.steps), cause) for cause in many]
        return sorted(found, key=lambda pair: (pair[0].mean is None, not pair[0].ok, pair[0].mean or 0.0))

    def numbers(self, steps: Steps, before: Cause | None = None) -> Cause | None:
        """Tell whether training has other numbers: whether each channel is a multiple of ours, plus something."""
        pairs = [(self._run(index, steps), file.last) for index, file in enumerate(self._files)]
        if any(ours is None or ours.shape != theirs.shape or ours.ndim < 3 for ours, theirs in pairs):
            return None
        order = running.order_before(steps, len(steps))
        fits = _fitted([(ours, theirs) for ours, theirs in pairs if ours is not None], order.index("C"))
        index = next(
            (i for i, step in reversed(list(enumerate(steps))) if step["step"] in ("normalize", "scale")), None
        )
        if fits is None or index is None:
            return None
        told = ", ".join(f"{slope:.4g} × ours {offset:+.4g}" for slope, offset in dict.fromkeys(fits))
        training, serving = f"has other numbers ({told})", named(steps[index])
        serving = f"{serving}; {before.said}" if before else serving
        return Cause(_renumbered(steps, index, fits), index, str(steps[index]["step"]), training, serving)

    def _off(self, steps: Steps) -> Distance:
        distances = []
        for index, file in enumerate(self._files):
            array = self._run(index, steps)
            if array is None:
                return Distance(None, None, 0.0)
            distances.append(_whole(steps, file, [array] * len(steps)))
        return worst(iter(distances))

    def _run(self, file: int, steps: Steps) -> Array | None:
        array: Array = np.frombuffer(self._files[file].data, np.uint8)
        for index in range(len(steps)):
            key = (file, repr(steps[: index + 1]))
            if key not in self._known:
                try:
                    self._known[key] = next(running.further(steps[: index + 1], index, array, resize))
                except ValueError:
                    return None  # such steps cannot be taken with this file
            array = self._known[key]
        return array


def _fitted(pairs: Sequence[tuple[Array, Array]], axis: int) -> list[tuple[float, float]] | None:
    """Give slope and offset per channel, None unless they explain everything."""
    fits = []
    for channel in range(pairs[0][0].shape[axis]):
        ours = np.concatenate([np.take(one, channel, axis).ravel() for one, _ in pairs]).astype(np.float64)
        theirs = np.concatenate([np.take(other, channel, axis).ravel() for _, other in pairs]).astype(np.float64)
        spread = ours.std()
        if not spread > 0:
            return None
        slope = float(np.mean((ours - ours.mean()) * (theirs - theirs.mean())) / spread**2)
        offset = float(theirs.mean() - slope * ours.mean())
        if np.abs(slope * ours + offset - theirs).max() > 1e-4 * max(float(np.abs(theirs).max()), 1e-9):
            return None
        fits.append((float(f"{slope:.6g}"), float(f"{offset:.6g}") if abs(offset) > 1e-6 else 0.0))
    return fits


def _renumbered(steps: Steps, index: int, fits: Sequence[tuple[float, float]]) -> Steps:
    # t = slope × s + offset is (s − mean) / std with these numbers
    further = {
        "step": "normalize",
        "mean": [-offset / slope if slope else 0.0 for slope, offset in fits],
        "std": [1 / slope if slope else 1.0 for slope, _ in fits],
    }
    return (*steps[: index + 1], further, *steps[index + 1 :])
