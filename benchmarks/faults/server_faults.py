"""Faults in a server, and between client and server: the embedded server with something wrong in it."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.faults.serving import Answering, Body, Wire, serving
from deploy_core.signature import Tensors

if TYPE_CHECKING:
    from benchmarks.faults.fault import Fault, Plant
    from benchmarks.faults.ground import Ground
    from deploy_core.predictor import Predictor
    from deploy_core.signature import Array

Make = Callable[["Ground", str], Callable[[Tensors], Tensors]]
Walk = Callable[[Any], Any]


def server(make: Make, dialect: str = "oip+rest", *, version: int = 1, parallel: int = 1) -> Plant:
    """Plant in the model that a server runs."""

    def plant(fault: Fault, ground: Ground) -> AbstractContextManager[str]:
        predictor = Answering(ground.signature(fault.model), make(ground, fault.model))
        return _url(fault, predictor, dialect, version=version, parallel=parallel)

    return plant


def between(dialect: str = "tfserving+rest", **changes: Body) -> Plant:
    """Plant on the wire, before or behind an honest server."""

    def plant(fault: Fault, ground: Ground) -> AbstractContextManager[str]:
        return _url(fault, honest(ground, fault.model), dialect, wire=Wire(**changes))

    return plant


@contextmanager
def _url(fault: Fault, predictor: Predictor, dialect: str, **how: Any) -> Generator[str]:
    # Under a name of its own: endpoints of one host and name are taken for ways to one server.
    name = fault.model if how.get("version", 1) > 1 else fault.name
    with serving(name, predictor, **how) as endpoints:
        yield str(next(e for e in endpoints if f"{e.dialect}+{e.transport}" == dialect))


def honest(ground: Ground, name: str) -> Predictor:
    """Load the honest ONNX file into this process."""
    from deploy_exporters.formats import load_file

    return load_file("onnx", ground.artifact(name, "onnx"), ground.signature(name), threads=1)


def other_weights(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Answer by a model that was trained anew."""
    import torch

    model = ground.model(name, seed=1)

    def answer(inputs: Tensors) -> Tensors:
        with torch.inference_mode():
            outputs = model(*(torch.from_numpy(np.array(array)) for array in inputs.values()))
        return {name: value.numpy() for name, value in outputs.items()}

    return answer


def one_of_two(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Ask two servers in turns, of which the second has other weights."""
    return _each(1, 2, honest(ground, name).predict, other_weights(ground, name))


def seldom(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Ask the bad server once in ten times."""
    return _each(9, 10, honest(ground, name).predict, other_weights(ground, name))


def _each(place: int, of: int, right: Walk, wrong: Walk) -> Callable[[Tensors], Tensors]:
    turn = itertools.count()
    return lambda inputs: wrong(inputs) if next(turn) % of == place else right(inputs)


def cached(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Keep answers by the shape of a request and its first value."""
    kept: dict[Any, Tensors] = {}
    predict = honest(ground, name).predict

    def answer(inputs: Tensors) -> Tensors:
        first = next(iter(inputs.values()))
        # Values that are as near as this are the same to it.
        key = (first.shape, *(round(float(value), 1) for value in first.ravel()[:1]))
        if key not in kept:
            kept[key] = predict(inputs)
        return kept[key]

    return answer


def racing(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Share one buffer among the calls that run at the same time."""
    shared: dict[str, Array] = {}
    predict, begun, calls = honest(ground, name).predict, threading.Condition(), itertools.count(1)

    def answer(inputs: Tensors) -> Tensors:
        with begun:
            mine = next(calls)
            shared.update(inputs, turn=np.array(mine))
            begun.notify_all()
            # As long as copying a larger input takes, or until somebody else has come.
            begun.wait_for(lambda: int(shared["turn"]) > mine, timeout=0.02)
            return predict({key: np.resize(shared[key], inputs[key].shape) for key in inputs})

    return answer


def remembering(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Begin every series where the one before has ended: a state that nobody resets."""
    import torch

    model = ground.model(name)
    state: list[Any] = []

    def answer(inputs: Tensors) -> Tensors:
        with torch.inference_mode():
            series = torch.from_numpy(np.array(inputs["series"]))
            begin = state[-1] if state and state[-1][0].shape[1] == len(series) else None
            steps, last = model.lstm(series, begin)
            state.append(last)
            return {"forecast": model.last(steps[:, -1]).numpy()}

    return answer


def clipped(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Cut inputs off at ±3, as a scaler fitted on little data does."""
    predict = honest(ground, name).predict
    return lambda inputs: predict({key: np.clip(array, -3, 3) for key, array in inputs.items()})


def few_rows(ground: Ground, name: str) -> Callable[[Tensors], Tensors]:
    """Compute 32 rows of a batch; what is beyond stays zero."""
    predict = honest(ground, name).predict

    def answer(inputs: Tensors) -> Tensors:
        outputs = {key: np.array(array) for key, array in predict(inputs).items()}
        for array in outputs.values():
            array[32:] = 0
        return outputs

    return answer


def in_json(change: Walk) -> Body:
    """Change a body as a JSON document."""

    def edit(body: bytes) -> bytes:
        return json.dumps(change(json.loads(body))).encode()

    return edit


def floats(change: Callable[[float], Any]) -> Body:
    """Change every float of a body."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return change(value) if isinstance(value, float) else value

    return in_json(walk)


def integers(change: Callable[[int], Any]) -> Body:
    """Change every integer of the outputs."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return change(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return in_json(walk)


def rows(change: Walk) -> Body:
    """Change the list of rows in an answer of TensorFlow Serving's dialect."""

    def edit(document: Any) -> Any:
        outputs = document["outputs"]
        named = {key: change(value) for key, value in outputs.items()} if isinstance(outputs, dict) else change(outputs)
        return {"outputs": named}

    return in_json(edit)


def swapped_messages(left: str, right: str) -> Body:
    """Give two outputs of one shape each other's values, in an answer of the Open Inference Protocol over gRPC."""

    def edit(body: bytes) -> bytes:
        from deploy_dialects.messages import message

        answer = message("oip", "inference.ModelInferResponse").FromString(body)
        names = [tensor.name for tensor in answer.outputs]
        one, other = names.index(left), names.index(right)
        raws = answer.raw_output_contents
        raws[one], raws[other] = raws[other], raws[one]
        return bytes(answer.SerializeToString())

    return edit


def half_messages(body: bytes) -> bytes:
    """Round the floats of an answer of the Open Inference Protocol over gRPC to bfloat16: half of each is lost."""
    from deploy_dialects.messages import message

    answer = message("oip", "inference.ModelInferResponse").FromString(body)
    for place, tensor in enumerate(answer.outputs):
        if tensor.datatype == "FP32":
            bits = np.frombuffer(answer.raw_output_contents[place], np.uint32) & np.uint32(0xFFFF0000)
            answer.raw_output_contents[place] = bits.tobytes()
    return bytes(answer.SerializeToString())
