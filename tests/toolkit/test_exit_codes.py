"""The exit code of an export whose files are not what the source model is."""

from __future__ import annotations

import numpy as np
import pytest

from deploy_agreement import Agreement, Noise, Report, compare
from deploy_core.errors import InputError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_toolkit.flows import proof

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)


class File:
    """Answers `x` with `added` to it, from batches of at most `most` rows."""

    signature = Signature((TensorSpec("x", "float32", ("batch", 4)),), (TensorSpec("y", "float32", ("batch", 4)),))

    def __init__(self, added: float, most: int = 64) -> None:
        self.added, self.most = np.float32(added), most

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        if len(inputs["x"]) > self.most:
            raise InputError("too many rows")
        return {"y": inputs["x"] + self.added}

    def close(self) -> None:
        """Hold nothing."""


def row(file: File) -> Agreement:
    return compare("file", {"y": X}, file, X_OF, noise=Noise({"y": 1e-7}, "given"))


X_OF = {"x": X}
NAN, FROZEN, OTHER = File(np.nan), File(0, most=3), File(1e-3)


@pytest.mark.parametrize(
    ("files", "code"), [((NAN,), 3), ((FROZEN,), 3), ((NAN, FROZEN), 3), ((OTHER,), 4), ((NAN, OTHER), 4)]
)
def test_another_prediction_is_4_and_what_is_not_converted_is_3(files: tuple[File, ...], code: int) -> None:
    assert proof._disagreement(Report(tuple(map(row, files)))).exit_code == code
