"""A file whose tensors differ from the source model's is asked and answers as the source does."""

from __future__ import annotations

import numpy as np
import pytest

from deploy_core.changes import Adapted, Change, changed
from deploy_core.errors import InputError
from deploy_core.signature import Signature, Tensors, TensorSpec

IMAGE = TensorSpec("image", "float32", ("batch", 3, 4, 5))
TOKENS = TensorSpec("tokens", "int64", ("batch", 7))
SIGNATURE = Signature((IMAGE, TOKENS), (TensorSpec("score", "float32", ("batch", 2)),))
CHANGES = (
    Change("image", "float32", (0, 2, 3, 1)),
    Change("tokens", "int32", why="TFLite looks up 32-bit indices"),
    Change("score", "int8", scale=0.5, zero_point=-3),
)


class Recorded:
    signature = changed(SIGNATURE, CHANGES)

    def predict(self, inputs: Tensors) -> Tensors:
        self.got = self.signature.conform(inputs)
        return {"score": np.array([[-3, -1], [127, -128]], np.int8)}

    def close(self) -> None:
        pass


def test_inputs_go_in_and_outputs_come_out_in_the_sources_form() -> None:
    file = Recorded()
    image = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    answer = Adapted(file, SIGNATURE, CHANGES).predict({"image": image, "tokens": np.ones((2, 7), np.int64)})
    assert [str(spec) for spec in file.signature.inputs] == ["image:float32[batch,4,5,3]", "tokens:int32[batch,7]"]
    np.testing.assert_array_equal(file.got["image"], np.moveaxis(image, 1, -1))
    assert answer["score"].dtype == np.float32
    np.testing.assert_array_equal(answer["score"], [[0, 1], [65, -62.5]])


def test_an_integer_that_the_file_cannot_hold_is_refused() -> None:
    tokens = np.full((1, 7), 2**31, np.int64)
    image = np.zeros((1, 3, 4, 5), np.float32)
    with pytest.raises(InputError, match="the file takes int32"):
        Adapted(Recorded(), SIGNATURE, CHANGES).predict({"image": image, "tokens": tokens})


def test_quantised_inputs_are_rounded_and_saturate() -> None:
    change = Change("x", "int8", scale=0.1, zero_point=5)
    np.testing.assert_array_equal(change.to_file(np.array([0, 0.26, 99, -99])), np.array([5, 8, 127, -128], np.int8))


def test_a_layout_there_and_back_is_the_same_array() -> None:
    array = np.arange(120).reshape(2, 3, 4, 5)
    change = Change("x", "int64", (0, 2, 3, 1))
    np.testing.assert_array_equal(change.from_file(change.to_file(array), "int64"), array)


def test_a_change_survives_the_manifest() -> None:
    assert [Change.from_json(change.to_json()) for change in CHANGES] == list(CHANGES)
