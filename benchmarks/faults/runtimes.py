"""The runtimes of honest files with other threads, optimisation levels and kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.faults.serving import Answering

if TYPE_CHECKING:
    from benchmarks.faults.ground import Ground
    from deploy_core.predictor import Predictor
    from deploy_core.signature import Signature, Tensors

THREADS = (1, 2)
_QUICK = (("DISABLE_ALL", 1), ("ENABLE_ALL", 2))
_LEVELS = ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_ALL")


def every(ground: Ground, name: str) -> Mapping[str, Callable[[], Predictor]]:
    """Give every way to run the files of a model, by what it is called."""
    version, signature = ground.version(name), ground.signature(name)
    files = {artifact.name: artifact.path for artifact in version.artifacts}
    found: dict[str, Callable[[], Predictor]] = {
        f"ONNX Runtime, {level}, {threads} thread{'s' * (threads > 1)}": partial(
            _onnx, files["onnx"], signature, level, threads
        )
        for level, threads in (_QUICK if ground.quick else product(_LEVELS, THREADS))
    }
    for threads in THREADS[ground.quick :]:
        found[f"libtorch, {threads} thread{'s' * (threads > 1)}"] = partial(
            _torch, files["torchscript"], signature, threads
        )
    if "tflite" in files:
        found |= _lites(files["tflite"], signature)
    if "savedmodel" in files:
        found["TensorFlow with oneDNN"] = partial(_tensorflow, files["savedmodel"], signature)
    return found


def _lites(path: Path, signature: Signature) -> dict[str, Callable[[], Predictor]]:
    return {
        f"LiteRT, {'XNNPACK' if fast else 'no delegate'}, {threads} thread{'s' * (threads > 1)}": partial(
            _tflite, path, signature, fast, threads
        )
        for fast in (True, False)
        for threads in THREADS
    }


def _onnx(path: Path, signature: Signature, level: str, threads: int) -> Predictor:
    import onnxruntime

    from deploy_exporters.formats.onnx import Session

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Session(session, signature, path)


def _torch(path: Path, signature: Signature, threads: int) -> Predictor:
    import torch

    from deploy_exporters.formats import load_file

    script = load_file("torchscript", path, signature)

    def answer(inputs: Tensors) -> Tensors:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        return script.predict(inputs)

    return Answering(signature, answer)


def _tflite(path: Path, signature: Signature, fast: bool, threads: int) -> Predictor:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from deploy_exporters.formats.tflite import Interpreted

    kernels = OpResolverType.AUTO if fast else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=path.read_bytes(), num_threads=threads, experimental_op_resolver_type=kernels
    )
    return Interpreted(interpreter.get_signature_runner("serving_default"), signature, path)


def _tensorflow(path: Path, signature: Signature) -> Predictor:
    """Load a SavedModel here: the toolkit's own workers have oneDNN off."""
    before: Any = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    os.environ |= {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        from deploy_exporters.formats import load_file

        return load_file("savedmodel", path, signature)
    finally:
        if before is None:
            del os.environ["TF_ENABLE_ONEDNN_OPTS"]
