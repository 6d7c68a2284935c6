"""The table of planted faults: every kind is there, each is really planted, and the quick part is found and named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from benchmarks.faults import honest, page, usual
from benchmarks.faults.fault import Fault
from benchmarks.faults.ground import MODELS, Ground
from benchmarks.faults.honest import Pair
from benchmarks.faults.judging import DEFAULT, Verdict, judge_all
from benchmarks.faults.registry import FAULTS

from deploy_core.signature import Tensors
from deploy_exporters.formats import load_file

pytestmark = [
    pytest.mark.xdist_group("faults"),
    # torch.jit and the exporter of ONNX say so of themselves
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
KINDS = (
    "swapped or transposed weights", "batch-norm epsilon", "dropout left on", "NCHW/NHWC mix-up", "wrong resize filter",
    "BGR/RGB", "mean/std forgotten", "softmax twice or on the wrong axis", "labels permuted", "off-by-one token id",
    "mask ignored", "int32 overflow", "float16 accumulation", "TF32 accumulation", "int8 scale or zero point off by one",
    "GELU by tanh", "padding on the wrong side", "frozen batch", "rows leak into each other", "stale version served",
    "wrong signature", "outputs in the wrong order", "truncated or re-ordered JSON", "float printed with 6 digits",
    "NaN turned to null", "one bad server among two", "one input in a thousand", "only above a threshold",
    "only at odd batch sizes", "only at one batch size", "GRU resets before the product",
)  # fmt: skip
QUICK = [fault for fault in FAULTS if fault.quick]
IN_FILES = [fault for fault in QUICK if fault.where in ("TorchScript", "ONNX")]
FROZEN = ("batch-frozen-at-64",)  # it answers 64 rows as the honest model does, and nothing else


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground(tmp_path_factory.mktemp("fault-table"), quick=True)
    for name in sorted({fault.model for fault in QUICK}):
        made.prepare(name)
    return made


@pytest.fixture(scope="module")
def verdicts(ground: Ground) -> Mapping[str, Verdict]:
    try:
        return {verdict.fault.name: verdict for verdict in judge_all(ground, QUICK)}
    finally:
        ground.workers.close()


def test_every_kind_of_fault_is_there() -> None:
    assert {fault.kind for fault in FAULTS} == set(KINDS)


def test_each_row_has_a_name_of_its_own_a_model_and_a_pattern() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 60
    assert {fault.model for fault in FAULTS} <= set(MODELS)
    for fault in FAULTS:
        assert fault.named, fault.name  # an empty pattern would match anything
        re.compile(fault.named)
        re.compile(fault.inside)


@pytest.mark.parametrize("fault", IN_FILES, ids=lambda fault: fault.name)
def test_each_file_is_really_wrong(fault: Fault, ground: Ground) -> None:
    """Agreement is not judged by agreement alone: plain numpy sees the fault on some rows."""
    with fault.plant(fault, ground) as path:
        predictor = load_file(
            {"TorchScript": "torchscript", "ONNX": "onnx"}[fault.where], Path(path), ground.signature(fault.model)
        )
        sizes = (64,) if fault.name in FROZEN else (64, 4, 3)
        batches = [_wide(ground.example(fault.model), rows) for rows in sizes]
        off = [_off(usual.answers(ground, fault.model, inputs), predictor.predict(inputs)) for inputs in batches]
        predictor.close()
    if fault.name in FROZEN:
        assert off[0] < 1e-5
    else:
        assert not max(off) < 1e-6  # NaN is not small either


def _wide(inputs: Tensors, rows: int) -> Tensors:
    """Rows like the example's, floats reaching further."""
    return {
        name: array[:rows] * np.float32(3) if array.dtype.kind == "f" else array[:rows]
        for name, array in inputs.items()
    }


def _off(want: Tensors, got: Tensors) -> float:
    return max(float(np.abs(np.asarray(got[name], np.float64) - want[name]).max()) for name in want)


@pytest.mark.parametrize("name", [fault.name for fault in QUICK])
def test_a_planted_fault_is_found_and_named(name: str, verdicts: Mapping[str, Verdict]) -> None:
    verdict = verdicts[name]
    assert verdict.found, f"{name} was missed"
    assert verdict.named, f"nothing names {verdict.fault.named!r}: {verdict.said}"
    assert verdict.inside is not False, f"the operator is not {verdict.fault.inside!r}: {verdict.said}"


def test_the_usual_check_misses_what_it_cannot_see(verdicts: Mapping[str, Verdict]) -> None:
    for name in ("mean-of-the-batch", "rows-reversed", "six-digits"):
        assert not verdicts[name].usual, name
    for name in ("transposed-weight", "softmax-twice"):
        assert verdicts[name].usual, name


def test_no_honest_pair_is_accused(ground: Ground, verdicts: Mapping[str, Verdict]) -> None:
    try:
        pairs = list(honest.judge_all(ground))
    finally:
        ground.workers.close()
    assert len(pairs) >= 20
    assert not [(pair.model, pair.what, pair.said) for pair in pairs if not pair.ok]


def test_the_page_counts_and_tells_what_was_missed() -> None:
    found = Verdict(FAULTS[0], DEFAULT, named=True, inside=False, said="off by 1 | 2", seconds=0.5, usual=True)
    missed = Verdict(FAULTS[1])
    pairs = [Pair("scorer", "file onnx", True, usual=False, loose=True), Pair("scorer", "file mar", False, "said")]
    text = page.page([found, missed], pairs, 60, "python -m benchmarks.faults")
    assert "finds 1 of 2 planted faults, 1 with no option" in text
    assert "accuses 1 of 2 honest pairs" in text
    assert f"| {FAULTS[1].name} | {FAULTS[1].kind} | TorchScript | scorer | **missed** |" in text
    assert "off by 1 / 2" in text  # a bar would be a column more
    said = page.summary([found, missed], pairs, 60)
    assert f"missed: {FAULTS[1].name}" in said
    assert "accused: scorer, file mar: said" in said
