"""SavedModels tell the exact names of their inputs, of which TensorFlow makes identifiers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from deploy_core.signature import TensorSpec
from deploy_exporters.exact_names import rename_inputs, tensor_spec
from deploy_exporters.formats import savedmodel


def test_a_file_tells_the_names_that_it_answers_to(tmp_path: Path) -> None:
    specs = [TensorSpec(name, "float32", ("batch", 2)) for name in ("x y", "a")]
    module = tf.Module()
    module.answer = tf.function(lambda one, two: {"o/1": one - two}, input_signature=[*map(tensor_spec, specs)])
    tf.saved_model.save(module, str(tmp_path / "net"), signatures={savedmodel.SIGNATURE: module.answer})
    rename_inputs(tmp_path / "net", specs)
    loaded = savedmodel.load(tmp_path / "net")
    assert {spec.name for spec in loaded.signature.inputs} == {"x y", "a"}
    ones = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(loaded.predict({"x y": 3 * ones, "a": ones})["o/1"], 2 * ones)
