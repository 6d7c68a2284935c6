"""How the training side of `vision` prepares the bytes of an image: what it took from its user's own code."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

SIZE, MEAN, STD = 16, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepare(data: bytes) -> Any:
    """Decode, resize by Pillow, scale, normalise, channels first."""
    from PIL import Image

    image = Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    pixels = (np.asarray(image) / 255 - np.array(MEAN)) / np.array(STD)
    return {"image": pixels.transpose(2, 0, 1)[None].astype(np.float32)}


def photo() -> bytes:
    """Give the bytes of a PNG with blobs and edges, another mean in each colour."""
    from PIL import Image

    rng = np.random.default_rng(3)
    coarse = rng.uniform(0, 255, (6, 6, 3)).repeat(8, axis=0).repeat(8, axis=1)[:, :40]
    pixels = np.clip(coarse * [1.0, 0.8, 0.5] + rng.normal(0, 12, coarse.shape), 0, 255)
    written = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(written, "PNG")
    return written.getvalue()
