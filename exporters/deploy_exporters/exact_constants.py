"""Constants of a torch model that are nearly 0 or 1 stay in its ONNX file."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch


@contextmanager
def kept() -> Generator[bool]:
    """Let torch.onnx.export drop `x + 0` and `x * 1` only where these are 0 and 1; give whether it may simplify at all.

    The rewriter of onnxscript (0.7.2) takes any constant up to 1e-8 for 0, and up to 1.00001 for 1. So
    `x / (std + 1e-8)` becomes `x / std`, which is NaN where rows are constant.
    """
    try:
        from onnxscript.rewriter import _matcher

        exactly = patch.object(_matcher, "math", SimpleNamespace(isclose=_same))
        exactly.start()
    except (ImportError, AttributeError):  # another version: a graph that is longer than need be is right at any rate
        yield False
        return
    try:
        yield True
    finally:
        exactly.stop()


def _same(got: float, wanted: float, **_: float) -> bool:
    return got == wanted
