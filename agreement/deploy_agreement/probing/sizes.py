"""The sizes of batches that drawn rows are asked in: those that servers' batchers make, large ones, and those between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, repeat

import numpy as np

from deploy_core.signature import Array

_BATCHERS = (4, 8, 16, 32)  # what servers make of single requests
_LARGE = (100, 128, 256, 512, 1024)
_BETWEEN = 40  # every size up to it, in a seeded order
_TURNS = 4  # of these, then a large one
_ELEMENTS = 2**18  # of inputs and outputs of a batch: a message that any server takes


def sizes_for(within: tuple[int, int] | None, known: Collection[int], each: int, *, seed: int = 0) -> tuple[int, ...]:
    """Give the sizes to ask for beside those that are `known`, within a range if one is promised, in the order to ask them.

    `each` is how many elements a row has, so that a batch larger than any known one is no message beyond what servers take.
    """
    least, greatest = within or (1, max(_LARGE))
    most = max(*known, _ELEMENTS // max(1, each), 1)
    between = np.random.default_rng(seed).permutation(np.arange(1, _BETWEEN + 1)).tolist()
    large = iter(_LARGE)
    order = list(_BATCHERS)
    for turn in range(0, len(between), _TURNS):
        order += [*([one] if (one := next(large, 0)) else []), *between[turn : turn + _TURNS]]
    fitting = (one for one in order if least <= one <= min(greatest, most) and one not in known)
    return tuple(dict.fromkeys(fitting))


def batches(
    count: int,
    sizes: Sequence[int],
    size: int,
    seconds: float,
    *,
    most: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Array]:
    """Give the rows of a batch of each of these sizes, then of `size` rows, until all are asked or the time is over.

    The first batch's time does not count. A size that would take longer than there is time for is left out. If there are
    too few rows for all sizes, they are asked again in others, `most` of them together.
    """
    start, end, each = 0, math.inf, 0.0
    least = min(*sizes, size)
    for number, one in enumerate(chain(sizes, repeat(size))):
        began = clock()
        rows = max(count, most) if number < len(sizes) else count
        room = min(rows - start, math.inf if each == 0 else (end - began) / each)
        if start and (began >= end or (room < least and number >= len(sizes))):
            return
        if one > room and number < len(sizes):
            continue
        step = int(min(one, room))
        yield (start + np.arange(step)) % count
        now = clock()
        if start:
            each = min(each or math.inf, (now - began) / step)
        else:
            end = now + seconds
        start += step


def listed(sizes: Iterable[int]) -> str:
    """Give sizes in few words: 4–6, 8–40, 100."""
    runs: list[list[int]] = []
    for size in sorted(set(sizes)):
        if runs and size == runs[-1][-1] + 1:
            runs[-1].append(size)
        else:
            runs.append([size])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
