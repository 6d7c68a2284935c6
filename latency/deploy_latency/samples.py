"""What was measured: one row per request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """Requests in the order of `intended`; all times in seconds since the run began.

    `done` is infinite where no answer came in time; `failure` is 0 for a good answer, else an index into `failures`, whose
    first text is empty. `request` tells which of the load's requests it was.
    """

    intended: Seconds
    fired: Seconds
    sent: Seconds
    done: Seconds
    failure: NDArray[np.int16]
    request: NDArray[np.int32]
    failures: tuple[str, ...] = ("",)

    def __len__(self) -> int:
        return len(self.intended)

    @property
    def latency(self) -> Seconds:
        """Seconds from the intended sending to the answer: what a user feels; a failed request has it, too."""
        return self.done - self.intended

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which requests were answered well."""
        good: NDArray[np.bool_] = self.failure == 0
        return good

    def where(self, chosen: NDArray[Any]) -> Samples:
        """Give some rows, chosen as numpy does."""
        return Samples(
            self.intended[chosen],
            self.fired[chosen],
            self.sent[chosen],
            self.done[chosen],
            self.failure[chosen],
            self.request[chosen],
            self.failures,
        )

    @classmethod
    def merged(cls, parts: Sequence[Samples]) -> Samples:
        """Join the samples of several workers. Raises ValueError for none."""
        texts = tuple(dict.fromkeys(text for part in parts for text in part.failures))
        moved = [np.array([texts.index(text) for text in part.failures], np.int16)[part.failure] for part in parts]
        joined = cls(
            np.concatenate([part.intended for part in parts]),
            np.concatenate([part.fired for part in parts]),
            np.concatenate([part.sent for part in parts]),
            np.concatenate([part.done for part in parts]),
            np.concatenate(moved),
            np.concatenate([part.request for part in parts]),
            texts,
        )
        return joined.where(np.argsort(joined.intended, kind="stable"))
