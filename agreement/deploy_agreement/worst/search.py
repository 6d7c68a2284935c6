"""The search: many candidates, the worst of them changed, and so on until the time is up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deploy_agreement.results.found import Worst
from deploy_agreement.worst.ascent import Ascent
from deploy_agreement.worst.asking import Asked, Frame, Numbers
from deploy_agreement.worst.bounds import Bounds
from deploy_agreement.worst.changes import CHANGES, Sweep, fresh
from deploy_agreement.worst.flock import Flock
from deploy_agreement.worst.judging import Judge, Place, Scores, of_row
from deploy_core.errors import UsageError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors

PATIENCE = 40  # generations without anything worse, after which it begins anew
_CLIMB = 2  # every which generation steps along gradients, which cost as much as many answers
_WEIGHED = 2  # candidates of a generation whose own noise is measured


@dataclass(frozen=True)
class Progress:
    """How far a search has come."""

    tried: int
    seconds: float
    over: float


OnProgress = Callable[[Progress], None]


def search(
    one: Predictor,
    other: Predictor,
    start: Tensors,
    bounds: Bounds,
    *,
    seconds: float,
    seed: int = 0,
    most: int | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> Worst:
    """Look for the input on which `other` is furthest from what `one` answers, in the range of the inputs `start`.

    It ends after so many `seconds`, or when `most` inputs were tried; the same seed and number of inputs tried find the
    same input. What lies beyond its tolerance counts only if it also lies beyond the noise of `one` at that very input.
    Raises UsageError if there is nothing to compare.
    """
    looking = _Search(Judge(one, other, Frame(one.signature, start, bounds.rows), bounds), seed)
    began = time.monotonic()

    def over() -> bool:
        spent = time.monotonic() - began
        on_progress(Progress(looking.tried, spent, looking.best.place.over))
        full = most is not None and looking.tried >= most
        return spent >= seconds or full or np.isinf(looking.best.place.over)

    looking.begin(over)
    while looking.can_vary and not over():
        looking.generation()
    return looking.found(seed, time.monotonic() - began)


@dataclass(frozen=True)
class _Best:
    """The worst so far: the candidate, those that were asked with it, and its place among them."""

    place: Place
    row: int = 0
    together: Sequence[Numbers] = ()


class _Search:
    def __init__(self, judge: Judge, seed: int) -> None:
        self.judge = judge
        self.frame = judge.frame
        self.rng = np.random.default_rng(seed)
        self.ascent = Ascent(judge)
        self.method = "gradient" if self.ascent.able else "evolution"
        self.flock = Flock()
        self.best = _Best(Place(-np.inf))
        self.first = self.best
        self.tried = 0
        self.idle = 0
        self.turn = 0
        self.luck: Counter[int] = Counter()
        self.sweeps = {n: Sweep(space, self.rng) for n, space in self.frame.spaces.items() if Sweep.fits(space)}
        self.can_vary = bool(self.frame.free)

    def begin(self, over: Callable[[], bool]) -> None:
        """Ask for the golden inputs."""
        samples = self.frame.samples()
        for first in range(0, len(samples), self.frame.rows):
            if first and over():
                return
            self.take(samples[first : first + self.frame.rows], golden=True)
            self.first = self.best

    def generation(self) -> None:
        """Ask for candidates that are new, changed, or a step along a gradient."""
        count = self.frame.rows
        self.turn += 1
        climbs = self.ascent.able and self.turn % _CLIMB == 0
        steps = self.ascent.children(self._climbers(), max(1, count // 2), self.rng) if climbs else []
        news = [self._fresh() for _ in range(max(1, count // 5))]
        rest = max(1, count - len(steps) - len(news))
        changed = [self._changed() for _ in range(rest)]
        before = self.best.place.over
        scores = self.take([*steps, *news, *(child for child, _, _ in changed)])
        offset = len(steps) + len(news)
        self.luck.update(
            way for i, (_, way, parent) in enumerate(changed) if scores.over[offset + i] > parent > -np.inf
        )
        self.idle = 0 if self.best.place.over > before else self.idle + 1
        if self.idle >= PATIENCE:
            self.idle, self.flock = 0, Flock()
            self.luck.clear()

    def take(self, candidates: Sequence[Numbers], *, golden: bool = False) -> Scores:
        """Ask for candidates, and keep the worst; what seems beyond its tolerance is weighed first."""
        inputs = self.frame.inputs(candidates)
        want, got = self.judge.both(inputs)
        self.tried += len(candidates)
        if golden:
            self.judge.learn(want)
        if want.lost.all() and not want.outputs:
            return Scores(*(np.full(len(candidates), -np.inf) for _ in range(4)))
        scores = self.judge.scores(want, got)
        beyond = [int(i) for i in np.argsort(-scores.over, kind="stable") if scores.over[i] > 1]
        for index in beyond[:_WEIGHED]:
            scores.over[index] = self._weigh(candidates, index, want, got)
        scores.over[beyond[_WEIGHED:]] = 1.0
        worst = int(scores.over.argmax())
        if scores.over[worst] > self.best.place.over and worst not in beyond:
            self.best = _Best(self.judge.place(want, got, worst), worst, candidates)
        self.flock.offer(candidates, scores)
        return scores

    def _weigh(self, candidates: Sequence[Numbers], index: int, want: Asked, got: Asked) -> float:
        """Hold a candidate to its own noise; what was refused is asked once more, since an endpoint may have been busy."""
        if got.lost[index]:
            candidates, index = [candidates[index]], 0
            want, got = self.judge.both(self.frame.inputs(candidates))
        noise = self.judge.noise(candidates[index], want, index, np.random.default_rng(self.tried + index))
        place = self.judge.place(want, got, index, noise)
        if place.over > self.best.place.over:
            self.best = _Best(place, index, candidates)
        return place.over

    def _climbers(self) -> list[Numbers]:
        parents = [self.flock.parent(self.rng) for _ in range(self.ascent.parents)]
        return [parent[1] for parent in parents if parent is not None]

    def _fresh(self) -> Numbers:
        made = {
            n: space.fitted(fresh(space, self.rng)) if space.free else space.sample[0]
            for n, space in self.frame.spaces.items()
        }
        for name, sweep in self.sweeps.items():
            if self.rng.random() < 0.8:
                made[name] = sweep.next(made[name])
        return made

    def _changed(self) -> tuple[Numbers, int, float]:
        """Change one to all inputs of a candidate; tell by what, and the score of the parent."""
        parent, mate = self.flock.parent(self.rng), self.flock.parent(self.rng)
        if parent is None or mate is None:
            return self._fresh(), 0, -np.inf
        names = self.frame.free
        chosen = [name for name in names if self.rng.random() < 0.5] or [names[self.rng.integers(len(names))]]
        chances = np.array([1.0 + self.luck[i] for i in range(len(CHANGES))])
        way = int(self.rng.choice(len(CHANGES), p=chances / chances.sum()))
        child = dict(parent[1])
        for name in chosen:
            space = self.frame.spaces[name]
            child[name] = space.fitted(CHANGES[way](child[name], mate[1][name], space, self.rng))
        return child, way, parent[0]

    def found(self, seed: int, seconds: float) -> Worst:
        """Ask for the worst alone, and give it; in the batch that it was asked in, if it takes the others to show it."""
        if not self.judge.answered:
            raise UsageError(
                "nothing could be compared", hint="the model answers none of these inputs, or not with a row for each"
            )
        place, inputs = self._shown()
        return Worst(
            subject="", against="", output=place.output, over=place.over, place=place.at, want=place.want, got=place.got,
            limit=place.limit, inputs=inputs, tried=self.tried, seconds=seconds, seed=seed, method=self.method,
            began=max(0.0, self.first.place.over),
        )  # fmt: skip

    def _shown(self) -> tuple[Place, Tensors]:
        """Give the worst row as it is answered alone, or with its batch if it takes that to be beyond its tolerance."""
        if self.best.place.over <= 1:
            best = max(self._weighed(self.best), self.first, key=lambda one: one.place.over)
            return self._of_batch(best.place, 0), self._question([best.together[best.row]])
        best, alone = self.best, self._weighed(_Best(self.best.place, 0, [self.best.together[self.best.row]]))
        shown = alone if alone.place.over > 1 else best
        return self._of_batch(shown.place, shown.row), self._question(shown.together)

    def _weighed(self, best: _Best) -> _Best:
        """Ask for it again, and hold it to its own noise."""
        want, got = self.judge.both(self.frame.inputs(best.together))
        noise = self.judge.noise(best.together[best.row], want, best.row, np.random.default_rng(0))
        return replace(best, place=self.judge.place(want, got, best.row, noise))

    def _question(self, candidates: Sequence[Numbers]) -> Tensors:
        return self.frame.question(self.frame.inputs(candidates))

    def _of_batch(self, place: Place, row: int) -> Place:
        return of_row(place, row, self.frame.output_axes.get(place.output))
