"""The operator that differs alone, written to disk with its inputs and a plain script that shows the difference."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from deploy_agreement.locating import Operands
from deploy_core.signature import Array
from deploy_exporters.formats.sniff import format_of
from deploy_exporters.worker import Workers


@dataclass(frozen=True)
class _Way:
    """How an operator of a format stands alone: the name of its file, and what runs it."""

    file: str
    library: str


_WAYS = {
    "onnx": _Way("operator.onnx", "onnxruntime"),
    "tflite": _Way("operator.tflite", "ai_edge_litert"),
    "savedmodel": _Way("operator.pb", "tensorflow"),
}

_SCRIPT = '''\
"""{about}
Needs numpy and {library}; exits with 1 if the difference is beyond what rounding explains.
"""
{run}

here = Path(__file__).parent
operator = {operator!r}
names = {names!r}  # of the inputs, in the order of inputs.npz
arrays = np.load(here / "inputs.npz")
inputs = {{name: arrays[f"input{{place}}"] for place, name in enumerate(names)}}
expected = np.load(here / "expected.npz")["expected"]
limit = {limit!r}

got = answer((here / "{file}").read_bytes(), inputs)
if got.shape != expected.shape:
    sys.exit(f"{{operator}} gives shape {{got.shape}}, wanted is {{expected.shape}}")
off = np.abs(got.astype(np.float64) - expected)
place = tuple(int(index) for index in np.unravel_index(np.argmax(np.nan_to_num(off, nan=np.inf)), off.shape))
print(f"{{operator}} gives {{got[place]:.9g}} at {{place}}, wanted is {{expected[place]:.9g}}")
print(f"off by {{off.max():.3g}}, tolerated is {{limit:.3g}}")
sys.exit(0 if off.max() <= limit else 1)
'''


def written(folder: Path, subject: Path, operands: Operands, said: str, reference: str, workers: Workers) -> str:
    """Write the folder and give its path; empty if the format's operators cannot stand alone, or this one does not differ.

    Raises ExportError and UsageError for an operator that needs the rest of its graph.
    """
    way = _WAYS.get(name := format_of(subject))
    if way is None:
        return ""
    module = f"deploy_exporters.alone.{name}"
    worker = workers.having(way.library)
    inputs = dict(operands.inputs)
    model: bytes = worker.call(f"{module}:part", _file(subject), list(operands.operators), inputs)
    got: Array = worker.call(f"{module}_answer:answer", model, inputs)
    if got.shape == operands.expected.shape and _within(got, operands):
        return ""
    _write(folder, way, model, operands, got)
    script = _script(way, operands, said, subject=subject.name, reference=reference, run=_runs(f"{module}_answer"))
    (folder / "reproduce.py").write_text(script)
    return str(folder)


def _within(got: Array, operands: Operands) -> bool:
    return bool((np.abs(got.astype(np.float64) - operands.expected) <= operands.limit).all())


def _write(folder: Path, way: _Way, model: bytes, operands: Operands, got: Array) -> None:
    folder.mkdir(parents=True, exist_ok=True)  # what else lies there may be the user's
    (folder / way.file).write_bytes(model)
    arrays = {f"input{place}": array for place, array in enumerate(operands.inputs.values())}
    weights = {f"weight{place}": array for place, array in enumerate(operands.one.weights.values())}
    np.savez(folder / "inputs.npz", allow_pickle=False, **arrays, **weights)
    np.savez(folder / "expected.npz", expected=operands.expected)
    np.savez(folder / "got.npz", got=got)


def _script(way: _Way, operands: Operands, said: str, *, subject: str, reference: str, run: str) -> str:
    operator = operands.other.operator
    about = f"{said}\n\n{way.library} runs {operator} of {subject} alone, on what {reference} has at that place."
    return _SCRIPT.format(
        # Names are those of a file that somebody else made: they must not end the text that they stand in.
        about=about.replace("\\", "\\\\").replace('"', "'"),
        library=way.library,
        operator=operator,
        file=way.file,
        names=list(operands.inputs),
        limit=float(operands.limit),
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
