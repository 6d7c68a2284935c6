"""The operator that differs alone, written to disk with its inputs and a plain script that shows the difference."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from deploy_agreement.figures import deviation
from deploy_agreement.locating import Operands
from deploy_core.errors import UsageError
from deploy_core.signature import Array, Signature, Tensors
from deploy_exporters.formats.sniff import format_of
from deploy_exporters.worker import Workers


class NothingShownError(UsageError):
    """An operator that makes what is wanted once it is given what the reference has there."""


@dataclass(frozen=True)
class Looked:
    """The file that was looked into, and what it was asked."""

    path: Path
    signature: Signature
    inputs: Tensors


@dataclass(frozen=True)
class _Way:
    """How an operator of a format stands alone: the name of its file, what runs it, and the modules for both.

    With `runs` the whole model is asked once more to see who calls what with which arguments: its file does not tell.
    """

    file: str
    library: str
    part: str
    answer: str
    runs: bool = False


def _way(file: str, library: str, part: str, answer: str = "", *, runs: bool = False) -> _Way:
    return _Way(
        file, library, f"deploy_exporters.alone.{part}", f"deploy_exporters.alone.{answer or part}_answer", runs
    )


_SCRIPTED = _way("operator.npz", "torch", "torchscript", "torch", runs=True)
_WAYS = {
    "onnx": _way("operator.onnx", "onnxruntime", "onnx"),
    "tflite": _way("operator.tflite", "ai_edge_litert", "tflite"),
    "savedmodel": _way("operator.pb", "tensorflow", "savedmodel"),
    "torchscript": _SCRIPTED,
    "mar": _SCRIPTED,
    "pt2": _way("operator.npz", "torch", "pt2", "torch", runs=True),
    "keras": _way("operator.npz", "keras", "keras", runs=True),
    "openvino": _way("operator.npz", "openvino", "openvino"),
}

_SCRIPT = '''\
"""{about}
Needs numpy and {library}; exits with 1 if the difference is beyond what rounding explains.
"""
{run}

here = Path(__file__).parent
operator = {operator!r}
names = {names!r}  # of the inputs, in the order of inputs.npz
with np.load(here / "inputs.npz") as arrays:
    inputs = {{name: arrays[f"input{{place}}"] for place, name in enumerate(names)}}
with np.load(here / "expected.npz") as arrays:
    expected = arrays["expected"]
limit = {limit}

got = answer((here / "{file}").read_bytes(), inputs)
if got.shape != expected.shape:
    sys.exit(f"{{operator}} gives shape {{got.shape}}, wanted is {{expected.shape}}")
with np.errstate(invalid="ignore"):
    off = np.abs(got.astype(np.float64) - expected)
off[(got == expected) | ((got != got) & (expected != expected))] = 0  # equal infinities, and NaN where it is wanted
off[np.isnan(off)] = np.inf
place = tuple(int(index) for index in np.unravel_index(np.argmax(off), off.shape))
print(f"{{operator}} gives {{got[place]:.9g}} at {{place}}, wanted is {{expected[place]:.9g}}")
print(f"off by {{off.max():.3g}}, tolerated is {{limit:.3g}}")
sys.exit(0 if off.max() <= limit else 1)
'''


def written(folder: Path, looked: Looked, operands: Operands, said: str, reference: str, workers: Workers) -> str:
    """Write the folder and give its path; empty if the format's operators cannot stand alone.

    Raises ExportError and UsageError for an operator that needs the rest of its graph, or does not differ by itself.
    """
    way = _WAYS.get(format_of(looked.path))
    if way is None:
        return ""
    worker = workers.having(way.library)
    inputs = dict(operands.inputs)
    more: dict[str, Any] = {"signature": looked.signature, "asked": dict(looked.inputs)} if way.runs else {}
    model: bytes = worker.call(f"{way.part}:part", _file(looked.path), list(operands.operators), inputs, **more)
    got: Array = worker.call(f"{way.answer}:answer", model, inputs)
    if got.shape == operands.expected.shape and _within(got, operands):
        raise NothingShownError("of what the reference has there it makes what is wanted")
    _write(folder, way, model, operands, got)
    script = _script(way, operands, said, subject=looked.path.name, reference=reference, run=_runs(way.answer))
    (folder / "reproduce.py").write_text(script)
    return str(folder)


def _within(got: Array, operands: Operands) -> bool:
    return bool((deviation(operands.expected, got, nan_agrees=True) <= operands.limit).all())


def _write(folder: Path, way: _Way, model: bytes, operands: Operands, got: Array) -> None:
    folder.mkdir(parents=True, exist_ok=True)  # what else lies there may be the user's
    (folder / way.file).write_bytes(model)
    arrays = {f"input{place}": _plain(array) for place, array in enumerate(operands.inputs.values())}
    weights = {f"weight{place}": _plain(array) for place, array in enumerate(operands.one.weights.values())}
    np.savez(folder / "inputs.npz", allow_pickle=False, **arrays, **weights)
    np.savez(folder / "expected.npz", expected=_plain(operands.expected))
    np.savez(folder / "got.npz", got=_plain(got))


def _plain(array: Array) -> Array:
    """Give an array as numpy itself can write it: it has no bfloat16."""
    return array if array.dtype.kind in "fiubcSU" else array.astype(np.float32)


def _script(way: _Way, operands: Operands, said: str, *, subject: str, reference: str, run: str) -> str:
    operator = operands.other.operator
    told = ", ".join(f"{name}={value!r}" for name, value in operands.other.attributes.items())
    about = (
        f"{said}\n\n{way.library} runs {operator}({told}) of {subject} alone,\non what {reference} has at that place."
    )
    limit = float(operands.limit)
    return _SCRIPT.format(
        # Names are those of a file that somebody else made: they must not end the text that they stand in.
        about=about.replace("\\", "\\\\").replace('"', "'"),
        library=way.library,
        operator=operator,
        file=way.file,
        names=list(operands.inputs),
        limit=repr(limit) if isfinite(limit) else f'float("{limit}")',
        run=run,
    )


def _runs(module: str) -> str:
    """Give the text of a module without its first line, and with what the rest of a script imports."""
    found = find_spec(module)  # not imported: it needs the runtime
    text = Path(str(found.origin if found else "")).read_text()
    return text.partition("\n")[2].replace(
        "import numpy as np", "import sys\nfrom pathlib import Path\n\nimport numpy as np", 1
    )


def _file(subject: Path) -> Path:
    return subject / "model.onnx" if subject.is_dir() and (subject / "model.onnx").is_file() else subject
