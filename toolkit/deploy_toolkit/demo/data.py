"""The demo's regression problems, synthetic, seeded and small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ROWS = 512
IMAGE = 16


def features(seed: int = 0) -> tuple[Floats, Floats]:
    """Give inputs [512, 6] and targets [512, 1]: a bent plane with a little noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 6))
    plane = x @ np.array([1.5, -2.0, 0.5, 0.0, 1.0, -0.5])
    y = np.abs(plane) + 0.05 * rng.normal(size=ROWS)
    return x.astype(np.float32), y[:, None].astype(np.float32)


def images(seed: int = 0) -> tuple[Floats, Floats]:
    """Give images [512, 3, 16, 16] (NCHW), each a bright square on noise, and targets [512, 2]: where its centre is."""
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.normal(size=(ROWS, 3, IMAGE, IMAGE))
    y = rng.integers(2, IMAGE - 2, size=(ROWS, 2))
    for image, (row, column) in zip(x, y, strict=True):
        image[:, row - 2 : row + 2, column - 2 : column + 2] += 1.0
    return x.astype(np.float32), (y / IMAGE * 2 - 1).astype(np.float32)
