"""How one candidate becomes another: functions of its numbers, those of a mate, and the space that both live in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deploy_agreement.worst.space import Space
from deploy_core.signature import Array

Random = np.random.Generator
_MANY = (8, 2**20)
Change = Callable[[Array, Array, Space, Random], Array]


def _shaken(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.asarray(numbers + rng.normal(size=numbers.shape) * space.span * _scale(rng))


def _few_shaken(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.where(_few(numbers, rng), _shaken(numbers, mate, space, rng), numbers)


def _few_drawn(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.where(_few(numbers, rng), drawn(numbers, space, rng), numbers)


def _one_drawn(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    child = np.array(numbers)  # of a value without axes, numpy's copy takes no assignment
    child.flat[rng.integers(child.size)] = drawn(numbers, space, rng).flat[rng.integers(child.size)]
    return child


def _block(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    """Draw, fill or shift a block, as a patch of an image or a part of a sentence."""
    child = np.array(numbers)  # of a value without axes, numpy's copy takes no assignment
    at = tuple(_slice(length, rng) for length in numbers.shape)
    others = (drawn(numbers, space, rng), snapped(numbers, space, rng), mate, numbers + space.span * _scale(rng))
    child[at] = others[rng.integers(len(others))][at]
    return child


def _turned(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.where(_few(numbers, rng), -numbers, numbers)


def _scaled(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.asarray(numbers * np.exp(rng.normal()))


def _snapped(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.where(_few(numbers, rng), snapped(numbers, space, rng), numbers)


def _crossed(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.where(rng.random(numbers.shape) < rng.random(), numbers, mate)


def _between(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    """Go from the mate through the candidate, and beyond."""
    return np.asarray(mate + (numbers - mate) * rng.uniform(0, 2))


def _rolled(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.roll(numbers, int(rng.integers(1, max(2, numbers.size))))


def _from_sample(numbers: Array, mate: Array, space: Space, rng: Random) -> Array:
    return np.where(_few(numbers, rng), space.sample[rng.integers(len(space.sample))], numbers)


CHANGES: tuple[Change, ...] = (
    _shaken, _few_shaken, _few_drawn, _one_drawn, _block, _turned, _scaled, _snapped, _crossed, _between, _rolled,
    _from_sample,
)  # fmt: skip


def drawn(like: Array, space: Space, rng: Random) -> Array:
    """Draw evenly over the range; of whole numbers the first and the last are as likely as any."""
    half = 0.5 if space.whole else 0.0
    return np.asarray(rng.uniform(size=like.shape) * (space.span + 2 * half) + space.low - half)


def snapped(like: Array, space: Space, rng: Random) -> Array:
    """Give the ends of the range, 0 and ±1, each as often; of all elements the same now and then."""
    ends = [np.broadcast_to(end, like.shape) for end in (space.low, space.high)]
    if rng.random() < 0.5:
        ends += [np.full(like.shape, value) for value in (0.0, 1.0, -1.0)]
    if rng.random() < 0.25:
        return np.array(ends[rng.integers(len(ends))])
    return np.asarray(np.choose(rng.integers(len(ends), size=like.shape), ends))


def fresh(space: Space, rng: Random) -> Array:
    """Give a candidate that is nobody's child."""
    sample = space.sample[rng.integers(len(space.sample))]
    way = rng.random()
    if way < 0.4:
        return drawn(sample, space, rng)
    if way < 0.7:
        return snapped(sample, space, rng)
    return _snapped(sample, sample, space, rng)


class Sweep:
    """Goes through all values of a range in an order of its own, so that none is left out by chance."""

    def __init__(self, space: Space, rng: Random) -> None:
        self.order = rng.permutation(int(space.span) + 1) + float(space.low)
        self.at = 0

    @staticmethod
    def fits(space: Space) -> bool:
        """Whether there is one range of many values for all elements, as of token ids."""
        return space.whole and space.span.ndim == 0 and _MANY[0] < float(space.span) < _MANY[1]

    def next(self, numbers: Array) -> Array:
        """Give the next values in place of these."""
        values = self.order[(self.at + np.arange(numbers.size)) % len(self.order)]
        self.at += numbers.size
        return np.asarray(values.reshape(numbers.shape))


def _scale(rng: Random) -> float:
    return float(10 ** rng.uniform(-4, 0))


def _few(numbers: Array, rng: Random) -> Array:
    """Give a mask with anything from one element to all of them."""
    share = numbers.size ** -rng.random() if numbers.size else 0.0
    mask = np.asarray(rng.random(numbers.shape) < share)
    if mask.size and not mask.any():
        mask.flat[rng.integers(mask.size)] = True
    return mask


def _slice(length: int, rng: Random) -> slice:
    first = int(rng.integers(length)) if length else 0
    return slice(first, first + int(rng.integers(1, max(2, length - first + 1))))
