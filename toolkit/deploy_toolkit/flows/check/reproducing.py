"""The operator that differs alone, written to disk with its inputs and a plain script that shows the difference."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy_agreement.locating import Operands
from deploy_core.errors import DeployError
from deploy_core.signature import Array
from deploy_exporters.formats.sniff import format_of
from deploy_exporters.worker import Workers


@dataclass(frozen=True)
class _Way:
    """How a format's operator stands alone: the module of `deploy_exporters.alone`, the file's name, and how it is run."""

    file: str
    library: str
    run: str  # Python that makes `got` of `model`, a path, and `inputs`, arrays by name


_ONNX = """\
import onnxruntime

session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
got = session.run(None, {each.name: inputs[each.name] for each in session.get_inputs()})[0]
"""
_WAYS = {"onnx": _Way("operator.onnx", "onnxruntime", _ONNX)}

_SCRIPT = '''\
"""{said}

{library} runs {operator} of {subject} alone, on what {reference} has at that place.
Needs numpy and {library}; exits with 1 if the difference is beyond what rounding explains.
"""

import sys
from pathlib import Path

import numpy as np

here = Path(__file__).parent
model = here / "{file}"
names = {names!r}  # of the inputs, in the order of inputs.npz
arrays = np.load(here / "inputs.npz")
inputs = {{name: arrays[f"input{{place}}"] for place, name in enumerate(names)}}
expected = np.load(here / "expected.npz")["expected"]

{run}
off = np.abs(got.astype(np.float64) - expected)
limit = {limit!r}
place = tuple(int(index) for index in np.unravel_index(np.argmax(np.nan_to_num(off, nan=np.inf)), off.shape))
print(f"{operator} gives {{got[place]:.9g}} at {{place}}, wanted is {{expected[place]:.9g}}")
print(f"off by {{off.max():.3g}}, tolerated is {{limit:.3g}}")
sys.exit(0 if off.max() <= limit else 1)
'''


def written(folder: Path, subject: Path, operands: Operands, said: str, reference: str, workers: Workers) -> str:
    """Write the folder and give its path; empty if the format's operators cannot stand alone, or this one does not differ."""
    way = _WAYS.get(name := format_of(subject))
    if way is None:
        return ""
    module = f"deploy_exporters.alone.{name}"
    worker = workers.having(way.library)
    inputs = dict(operands.inputs)
    try:
        model: bytes = worker.call(f"{module}:part", _file(subject), list(operands.operators), inputs)
        got: Array = worker.call(f"{module}:answer", model, inputs)
    except DeployError:
        return ""  # an operator that needs the rest of its graph: where it is has been said
    if got.shape == operands.expected.shape and _within(got, operands):
        return ""
    _write(folder, way, model, operands, got)
    (folder / "reproduce.py").write_text(_script(way, subject, operands, said, reference))
    return str(folder)


def _within(got: Array, operands: Operands) -> bool:
    return bool((np.abs(got.astype(np.float64) - operands.expected) <= operands.limit).all())


def _write(folder: Path, way: _Way, model: bytes, operands: Operands, got: Array) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / way.file).write_bytes(model)
    arrays = {f"input{place}": array for place, array in enumerate(operands.inputs.values())}
    weights = {f"weight{place}": array for place, array in enumerate(operands.one.weights.values())}
    np.savez(folder / "inputs.npz", allow_pickle=False, **arrays, **weights)
    np.savez(folder / "expected.npz", expected=operands.expected)
    np.savez(folder / "got.npz", got=got)


def _script(way: _Way, subject: Path, operands: Operands, said: str, reference: str) -> str:
    return _SCRIPT.format(
        said=said.replace("\\", "\\\\").replace('"""', "'''"),
        library=way.library,
        operator=operands.other.operator,
        subject=subject.name,
        reference=reference,
        file=way.file,
        names=list(operands.inputs),
        run=way.run,
        limit=float(operands.limit),
    )


def _file(subject: Path) -> Path:
    return subject / "model.onnx" if subject.is_dir() and (subject / "model.onnx").is_file() else subject
