"""The candidates that are worth changing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deploy_agreement.worst.asking import Numbers
from deploy_agreement.worst.judging import Scores

_SIZES = {"over": 24, "near": 6, "high": 6, "low": 6}
_CHOSEN = {"over": 0.7, "near": 0.1, "high": 0.1, "low": 0.1}


@dataclass
class Flock:
    """The best by how far off they are, and a few by what often leads there: near another class, great and small answers."""

    kept: dict[str, list[tuple[float, Numbers]]] = field(default_factory=lambda: {name: [] for name in _SIZES})

    def offer(self, candidates: Sequence[Numbers], scores: Scores) -> None:
        """Keep those that are better than what is kept."""
        for name, size in _SIZES.items():
            values = getattr(scores, name)
            for index in np.argsort(-values, kind="stable")[:size]:
                self._keep(name, float(values[index]), candidates[index])

    def parent(self, rng: np.random.Generator) -> tuple[float, Numbers] | None:
        """Choose one, the better the likelier; None as long as there is none. Its score is of how far off it is."""
        name = rng.choice(list(_CHOSEN), p=list(_CHOSEN.values()))
        kept = self.kept[name] or self.kept["over"]
        if not kept:
            return None
        score, candidate = kept[int(rng.integers(len(kept)) * rng.random())]
        return (score if kept is self.kept["over"] else -np.inf), candidate

    def _keep(self, name: str, score: float, candidate: Numbers) -> None:
        kept = self.kept[name]
        if score == -np.inf or (len(kept) >= _SIZES[name] and score <= kept[-1][0]):
            return
        kept.append((score, candidate))
        kept.sort(key=lambda pair: -pair[0])
        del kept[_SIZES[name] :]
