"""Faults in preprocessing, which tensors alone cannot show: they need raw bytes."""

from __future__ import annotations

from benchmarks.faults import raw_faults as r
from benchmarks.faults.fault import Fault
from benchmarks.faults.rows import in_torch as kinds


def _raw(name: str, kind: str, named: str, *steps: r.Step, **changes: r.Step | None) -> Fault:
    served = (*r.steps(**changes)[:1], *steps, *r.steps(**changes)[1:])
    return Fault(name, kind, "stored steps", "vision", r.kept(served), named, raw=True)


FAULTS = (
    _raw("served-blue-first", kinds.COLOURS, "color|BGR", {"step": "color", "to": "bgr"}),
    _raw("served-by-opencv", kinds.RESIZE, "resize", resize={"step": "resize", "as": "opencv", "filter": "bilinear", "size": 16}),
    _raw("served-nearest", kinds.RESIZE, "resize", resize={"step": "resize", "as": "pillow", "filter": "nearest", "size": 16}),
    _raw("served-without-mean", kinds.MEAN, "normalize", normalize=None),
    _raw("served-without-scale", kinds.MEAN, "scale|of 255", scale=None),
    _raw("served-with-other-mean", kinds.MEAN, "normalize", normalize={"step": "normalize", "mean": [0.5] * 3, "std": [0.5] * 3}),
)  # fmt: skip
