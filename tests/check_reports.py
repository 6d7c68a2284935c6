"""Reports of comparisons that nobody made, with every odd case in them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from deploy_agreement import (
    Agreement,
    Check,
    Degradation,
    Element,
    Inside,
    Located,
    Match,
    OutputAgreement,
    OutputDegradation,
    Points,
    Problem,
    Report,
    Skew,
    StepSkew,
    Tolerance,
    Worst,
)
from deploy_agreement.deciding import decide
from deploy_core.signature import Array

MARKED_UP = "net@1/[red]<script>alert(1)</script>&\"'"
RULE = Tolerance(2.4e-6, "8 × noise (float64 of the source, 64 rows)")
LABELS = ("cat", "dog", "bird", "<b>frog</b>")
WANT = np.random.default_rng(3).normal(size=(64, 4)).astype(np.float32)


def answers(off: float) -> Array:
    """Wanted values with errors of that size."""
    return WANT + (off * np.random.default_rng(4).normal(size=WANT.shape)).astype(np.float32)


def output(off: float, name: str = "logits", *, points: bool = True) -> OutputAgreement:
    """An output whose values are about that far off, with all that can be known of it."""
    got = answers(off)
    apart = np.abs(got.astype(np.float64) - WANT)
    place = tuple(map(int, np.unravel_index(apart.argmax(), apart.shape)))
    limit = np.full(WANT.shape, RULE.value)
    worst = float(apart.max())
    return OutputAgreement(
        name=name,
        dtype="float32",
        tolerance=RULE,
        ok=worst <= RULE.value,
        compared=1024,
        max_abs=worst,
        max_rel=worst / 2,
        max_ulp=worst / 1.2e-7,
        needed=worst,
        worst_batch=64,
        worst_row=place[0],
        worst=Element(place, float(WANT[place]), float(got[place]), RULE.value),
        decisions=decide({name: WANT}, {name: got}, {name: 0}, {name: limit}, {name: LABELS})[name],
        points=Points(WANT.ravel(), got.ravel(), limit.ravel()) if points else None,
    )


def checks(off: float) -> tuple[Check, ...]:
    """One of every verdict."""
    bad = output(off)
    wrong = "agree" if bad.ok else "disagree"
    return (
        Check("golden", wrong, "" if bad.ok else bad.beyond, 64, (bad,)),
        Check("drawn", wrong, "" if bad.ok else bad.beyond, 256, (bad,)),
        Check("edges", "told", "differs on NaN <i>, as not even the source is sure there", 18, (output(3e-6),)),
        Check("height = 13", "agree", rows=3, outputs=(output(1e-7),)),
        Check("height = 64, width = 64", wrong, "" if bad.ok else "off by 0.1", 3, (bad,)),
        Check("order", "agree", rows=64),
        Check("again", "agree", rows=64),
        Check("at once", "skipped", "its runtime answers one at a time", 0),
    )


def good(subject: str = "net@1/onnx") -> Agreement:
    return Agreement(subject, (output(3e-7),), rows=64, batches=(64, 1, 2, 3, 7), checks=checks(3e-7))


def wrong(subject: str = "net@1/tflite") -> Agreement:
    """Off by a lot, in every way, and decided otherwise."""
    problem = Problem("batch-norm", "output 'logits' is 1.02 times what is wanted <u>", "logits")
    return Agreement(subject, (output(0.2),), (problem,), 64, (64, 1, 2, 3, 7), checks=checks(0.2))


def barely(subject: str = "oip+grpc://127.0.0.1:8001/net@1") -> Agreement:
    """Answers the golden inputs, and not some of those that were drawn."""
    return Agreement(subject, (output(3e-7),), rows=64, batches=(64,), checks=checks(4e-6))


def hopeless(subject: str = MARKED_UP) -> Agreement:
    """NaN, an output without rows, and one that cannot be compared."""
    nan = replace(output(0.1), max_abs=math.inf, max_rel=math.inf, max_ulp=math.inf, needed=math.inf, ok=False)
    nan = replace(nan, worst=Element((3, 0), 0.5, math.nan, 2.4e-6), points=_with_nan(nan))
    words = OutputAgreement("words", "string", Tolerance(0.0, "must be equal"), ok=False)
    return Agreement(subject, (nan, words), (Problem("nan", "output 'logits' is NaN in 3 of 256 values"),), 64, (64,))


def _with_nan(one: OutputAgreement) -> Points:
    assert one.points is not None
    got = one.points.got.copy()
    got[:3] = np.nan, np.inf, -np.inf
    return replace(one.points, got=got, limit=np.where(np.arange(got.size) < 9, 0.0, one.points.limit))


def gone(subject: str = "tfserving+rest://127.0.0.1:8501/net") -> Agreement:
    return Agreement(subject, rows=64, error="nobody answers at 127.0.0.1:8501 (start it)", unavailable=True)


def quantised(subject: str = "net@1/tflite-int8") -> Agreement:
    found = Degradation((OutputDegradation("logits", 64, 0.2, 0.08, 0.1, 4),), 0.27)
    coarse = replace(output(0.05), tolerance=Tolerance(0.4, "2 × the error when it was published"), ok=True)
    assert coarse.worst is not None
    coarse = replace(coarse, worst=replace(coarse.worst, limit=0.4), points=None)
    return Agreement(subject, (coarse,), rows=64, batches=(64,), degradation=found)


def worst(subject: str = "net@1/tflite", over: float = 4127.0) -> Worst:
    draw = np.random.default_rng(5)
    return Worst(
        subject=subject,
        against="net@1/reference",
        output="logits",
        over=over,
        place=(0, 2),
        want=1.25,
        got=1.25 + over * 2.4e-6,
        limit=2.4e-6,
        inputs={
            "image": draw.random((1, 3, 24, 24), np.float32),
            "ids": np.array([[101, 7592, 102, 0]]),
            "x": draw.normal(size=(1, 40)).astype(np.float32),
            "word": np.array(["<b>é</b>"], object),
        },
        tried=1840,
        seconds=5.02,
        seed=0,
        method="gradient",
        file="deploy-check/net@1_tflite.npz",
        began=12.0,
    )


def located() -> Located:
    kinds = ("CONV_2D", "BATCH_NORM <x>", "RELU", "MAX_POOL_2D") * 5
    overs = [0.0, 0.4, 0.2, 0.9, 0.3, 240.0, 180.0, 260.0, *np.geomspace(300, 4000, 12)]
    matches = tuple(
        Match(
            Inside(f"features.{number}", kind, f"features.{number}", {"epsilon": 1e-5, "momentum": 0.1}),
            Inside(f"model/{number}/{kind}", kind, "", {"epsilon": 1e-3, "momentum": 0.1}),
            "name" if number % 2 else "value",
            over * 1e-6,
            float(over),
        )
        for number, (kind, over) in enumerate(zip(kinds, overs, strict=True))
    )
    said = "epsilon is 0.001 instead of 1e-05"
    return Located("net@1/tflite", "net@1/reference", matches, matches[5], said, "deploy-check/features.5")


def skew() -> Skew:
    steps = (
        StepSkew("decode", 0.0, 0.0, 0.0, ok=True),
        StepSkew("resize 256, bilinear", 31.0, 2.2, 1.0, ok=False, said="as if by nearest"),
        StepSkew("crop 224", None, None, 1.0, ok=False, said="[224, 224, 3] is not [3, 224, 224]"),
        StepSkew("mean, std", math.inf, 0.9, 1e-5, ok=False),
    )
    return Skew(12, steps, "resize 256, bilinear", "the first step that differs: resize 256, bilinear")


def full() -> Report:
    return Report(
        rows=(good(), wrong(), barely(), hopeless(), quantised(), gone(), Agreement("no/runtime", error="it crashed")),
        by="golden outputs of net@1",
        worst=(worst(), worst(MARKED_UP, math.inf), worst("net@1/onnx", 0.4)),
        located=(located(), Located("net@1/x", "net@1/reference", said="nothing could be matched")),
        skew=skew(),
    )


def agreeing() -> Report:
    return Report((good(), good("net@1/torchscript")), by="golden outputs", worst=(worst("net@1/onnx", 0.4),))


def empty() -> Report:
    return Report(())


COMMAND = "deploy check net oip+grpc://127.0.0.1:8001/net@1 --html 'my page.html' --search 5"
