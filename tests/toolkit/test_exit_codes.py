"""The exit code of an export whose files are not what the source model is."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_agreement import Agreement, Noise, Promise, ProofError, Report, compare, failed, unproved
from deploy_core.artifact import Artifact
from deploy_core.errors import InputError, UnavailableError, UsageError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_exporters.export import Export
from deploy_exporters.worker import Workers
from deploy_model_store import Golden
from deploy_toolkit.flows import proof
from deploy_toolkit.output import silent

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
NEVER = unproved(failed("coreml", UnavailableError("not here")))
NOBODY = failed("endpoint", UnavailableError("nobody answers"))
BROKEN = unproved(failed("mar", UsageError("it is no archive")))
NAN, FROZEN, OTHER = File(np.nan), File(0, most=3), File(1e-3)


@pytest.mark.parametrize(
    ("files", "code"), [((NAN,), 3), ((FROZEN,), 3), ((NAN, FROZEN), 3), ((OTHER,), 4), ((NAN, OTHER), 4)]
)
def test_another_prediction_is_4_and_what_is_not_converted_is_3(files: tuple[File, ...], code: int) -> None:
    assert proof._disagreement(Report(tuple(map(row, files)))).exit_code == code


def test_what_is_stored_unproved_does_not_decide() -> None:
    good, bad = row(File(0)), row(OTHER)
    codes = {(good,): 0, (good, NEVER): 0, (NEVER,): 6, (good, NOBODY): 6, (good, NEVER, NOBODY): 6, (): 4}
    codes |= {(bad, NEVER): 4, (good, BROKEN): 4, (bad, NOBODY): 4}
    for rows, code in codes.items():
        assert (Report(rows).exit_code, Report(rows).ok) == (code, code == 0), [each.subject for each in rows]


def test_a_written_file_that_does_not_load_is_a_failed_export(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\0no flatbuffer")
    artifact = Artifact("tflite", path, File.signature)
    golden = Golden(X_OF, {"y": X}, {"y": 1e-7}, "given")
    opened: Any = File(0)
    with Workers(tmp_path) as workers, pytest.raises(ProofError) as caught:
        proof.prove(workers, opened, Export((artifact,), artifact), golden, Noise({}, "given"), Promise(), silent)
    assert caught.value.exit_code == 3
    (found,) = caught.value.report.rows
    assert (found.subject, found.verdict) == ("tflite", "failed")
    assert "cannot be loaded as tflite" in found.error


def test_the_report_of_a_failed_proof_survives_a_worker() -> None:
    error = proof._disagreement(Report((row(NAN),)))
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.hint, copied.exit_code) == (str(error), error.hint, 3)
    assert copied.report == error.report
