"""The ONNX standard's own node tests, run through the translation as a traced graph with fixed shapes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import numpy_helper

from deploy_core.dtypes import dtype_name
from deploy_core.errors import ExportError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters.translation import savedmodel_from_onnx, unsupported
from deploy_exporters.translation.bodies import inlined
from deploy_exporters.translation.graph import model_outputs
from deploy_exporters.translation.model import opset_of
from deploy_exporters.translation.table import OPERATORS

Arrays = dict[str, np.ndarray[Any, Any]]

# What an exporter writes as a constant and the node tests feed: operator → positions of axes, sizes and pads.
SHAPE_LIKE = {
    "BlackmanWindow": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2), "ConstantOfShape": (0,), "CumProd": (1,),
    "CumSum": (1,), "DFT": (1, 2), "Expand": (1,), "HammingWindow": (0,), "HannWindow": (0,), "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2, 3, 4), "OneHot": (1,), "Pad": (1, 3), "Range": (0, 1, 2), "Reshape": (1,),
    "Resize": (1, 2, 3), "STFT": (1, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "Tile": (1,),
    "TopK": (1,), "Trilu": (1,), "Unsqueeze": (1,), "Upsample": (1,), "AffineGrid": (1,),
    **dict.fromkeys((name for name in OPERATORS if name.startswith("Reduce")), (1,)),
}  # fmt: skip

# Types that no deployed model uses as a tensor's dtype yet, and that TensorFlow can hardly compute with.
SMALL_FLOATS = ("float8", "float4", "int4", "int2", "uint4", "uint2")

TRAINING = (
    "batchnorm_epsilon_training_mode batchnorm_example_training_mode training_dropout training_dropout_default"
    " training_dropout_default_mask training_dropout_mask training_dropout_zero_ratio training_dropout_zero_ratio_mask"
)
KNOWN_FAILURES = {
    **{f"test_{name}": "training mode" for name in TRAINING.split()},
    **{f"test_dft_inverse{kind}": "the wanted numbers are themselves 2e-7 off 0" for kind in ("", "_opset19")},
    "test_scan_sum": "the Scan of opset 8 has a batch axis of its own, and no exporter writes it",
}


def arrays_of(names: list[str], values: list[Any]) -> Arrays:
    plain = (numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else np.asarray(v) for v in values)
    return dict(zip(names, plain, strict=False))


def only_tensors(model: onnx.ModelProto) -> bool:
    values = [*model.graph.input, *model.graph.output]
    if not all(value.type.WhichOneof("value") == "tensor_type" for value in values):
        return False
    names = [onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower() for value in values]
    return not any(name.startswith(SMALL_FLOATS) for name in names)


@pytest.fixture(scope="session")
def node_tests() -> dict[str, list[Any]]:
    """All node tests by the translation's module of their first operator."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases compute their own expectations, with overflows
        cases = load_model_tests(kind="node")
    found: dict[str, list[Any]] = {}
    for case in cases:
        if "_expanded" not in case.name and case.model is not None and only_tensors(case.model):
            name = case.model.graph.node[0].op_type
            module = OPERATORS[name].partition(":")[0] if name in OPERATORS else "bodies"
            if not unsupported(case.model):
                found.setdefault(module, []).append(case)
    return found


def fixed_inputs(model: onnx.ModelProto) -> set[str]:
    return {node.input[i] for node in model.graph.node for i in SHAPE_LIKE.get(node.op_type, ()) if i < len(node.input)}


def run(case: Any) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Give each output as computed and as wanted."""
    model = inlined(case.model)
    for given, wanted in case.data_sets:
        inputs = arrays_of([value.name for value in model.graph.input], given)
        outputs = arrays_of([value.name for value in model.graph.output], wanted)
        shapes = fixed_inputs(case.model)
        weights = set(list(inputs)[1:])  # as in real models, all but the first are constants
        for constant in (shapes, shapes | weights) if weights - shapes else (shapes,):
            fixed = {name: array for name, array in inputs.items() if name in constant}
            got = traced(model, fixed, {name: array for name, array in inputs.items() if name not in fixed})
            yield from ((np.asarray(got[name]), array) for name, array in outputs.items())


def traced(model: onnx.ModelProto, fixed: Arrays, live: Arrays) -> Mapping[str, Any]:
    def predict(*arguments: Any) -> dict[str, Any]:
        inputs = {**fixed, **dict(zip(live, arguments, strict=True))}
        return {name: tf.identity(value) for name, value in model_outputs(model, opset_of(model), inputs).items()}

    constants = [tf.constant(array) for array in live.values()]
    specs = [tf.TensorSpec(value.shape, value.dtype) for value in constants]
    function = tf.function(predict, autograph=False, input_signature=specs).get_concrete_function()
    return {name: value.numpy() for name, value in function(*constants).items()}


def assert_same(case: Any, got: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> None:
    assert (dtype_name(got.dtype), got.shape) == (dtype_name(want.dtype), want.shape)
    if want.dtype.kind in "OSU":
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in got.ravel().tolist()]
        assert texts == [str(text) for text in want.ravel().tolist()]
    else:
        wide = np.complex128 if want.dtype.kind == "c" else np.float64
        rtol = max(case.rtol, rounding(want.dtype))
        np.testing.assert_allclose(got.astype(wide), want.astype(wide), rtol=rtol, atol=case.atol)


def rounding(dtype: np.dtype[Any]) -> float:
    """Allow three units of a half-precision dtype: ONNX's 1e-3 is one unit of float16 and less than one of bfloat16."""
    return 3 * float(ml_dtypes.finfo(dtype).eps) if dtype in (np.float16, ml_dtypes.bfloat16) else 0.0


def failure_of(case: Any) -> str:
    """Run one node test; give what is wrong, or nothing."""
    try:
        for got, want in run(case):
            assert_same(case, got, want)
    except (AssertionError, ExportError, ValueError, TypeError, tf.errors.OpError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""


@pytest.mark.parametrize("module", sorted({where.partition(":")[0] for where in OPERATORS.values()} | {"bodies"}))
def test_node_tests(node_tests: dict[str, list[Any]], module: str) -> None:
    cases = node_tests[module]
    failures = {case.name: problem for case in cases if (problem := failure_of(case))}
    unexpected = {name: problem for name, problem in failures.items() if name not in KNOWN_FAILURES}
    assert not unexpected, "\n".join(f"{name}: {problem}" for name, problem in unexpected.items())
    assert not {case.name for case in cases if case.name in KNOWN_FAILURES} - failures.keys(), "passes now"


def test_most_node_tests_are_run(node_tests: dict[str, list[Any]]) -> None:
    names = [case.name for cases in node_tests.values() for case in cases]
    assert len(names) >= 1190
    assert not KNOWN_FAILURES.keys() - set(names), "no such test"


SAMPLE = (
    "test_basic_conv_with_padding", "test_maxpool_2d_pads", "test_averagepool_2d_pads_count_include_pad", "test_lstm_defaults",
    "test_gather_negative_indices", "test_softmax_axis_1", "test_layer_normalization_2d_axis1", "test_matmul_3d", "test_equal",
    "test_resize_upsample_scales_linear", "test_top_k", "test_cast_FLOAT_to_FLOAT16", "test_einsum_batch_matmul",
)  # fmt: skip


def spec_of(value: Any) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(int(dim.dim_value) for dim in kind.shape.dim)
    return TensorSpec(value.name, dtype_name(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)


def test_a_sample_through_savedmodel(node_tests: dict[str, list[Any]], tmp_path: Path) -> None:
    cases = {case.name: case for cases in node_tests.values() for case in cases}
    for name in SAMPLE:
        case, (given, wanted) = cases[name], cases[name].data_sets[0]
        model = onnx.ModelProto.FromString(case.model.SerializeToString())
        inputs = arrays_of([value.name for value in model.graph.input], given)
        for fixed in fixed_inputs(model) & inputs.keys():
            model.graph.initializer.append(numpy_helper.from_array(inputs.pop(fixed), fixed))
        onnx.save(model, tmp_path / f"{name}.onnx")
        signature = Signature(
            tuple(spec_of(value) for value in model.graph.input if value.name in inputs),
            tuple(map(spec_of, model.graph.output)),
        )
        savedmodel_from_onnx(tmp_path / f"{name}.onnx", tmp_path / name, signature)
        loaded = tf.saved_model.load(str(tmp_path / name))
        got = loaded.signatures["serving_default"](**{key: tf.constant(array) for key, array in inputs.items()})
        for key, want in arrays_of([value.name for value in model.graph.output], wanted).items():
            assert_same(case, got[key].numpy(), want)
