"""Answer with this model: needs numpy, and ai-edge-litert or tflite-runtime.

python run.py --input x.npz                 arrays by input name
python run.py --input x.npy                 for a model with one input
python run.py --input x.npz --output y.npz  keep the answer
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

HERE = Path(__file__).resolve().parent


class Model:
    """The model of this folder: arrays by input name in, arrays by output name out, as the model was trained.

    Where the file has another dtype, layout or scale than the model that it was made of, this is made up for here.
    """

    def __init__(self, folder: Path = HERE, threads: int | None = None) -> None:
        told = json.loads((folder / "signature.json").read_text(encoding="utf-8"))
        (file,) = sorted(folder.glob("*.tflite"))
        # From its bytes: a damaged file that is read by its path can crash the interpreter.
        self._interpreter = Interpreter(model_content=file.read_bytes(), num_threads=threads)
        names = list(self._interpreter.get_signature_list())
        key = "serving_default" if "serving_default" in names else names[0]
        self._runner = self._interpreter.get_signature_runner(key)
        self._changes = {change["tensor"]: change for change in told["changes"]}
        self.inputs = {spec["name"]: spec for spec in told["source"]["inputs"]}
        self.outputs = {spec["name"]: spec for spec in told["source"]["outputs"]}
        self.labels = {
            name: (folder / labels).read_text(encoding="utf-8").splitlines() for name, labels in told["labels"].items()
        }

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Answer one batch. Raises ValueError for arrays that do not fit the signature."""
        if set(inputs) != set(self.inputs):
            raise ValueError(f"the inputs are {sorted(inputs)}, the model has {sorted(self.inputs)}")
        arrays = {name: self._to_file(name, conformed(spec, inputs[name])) for name, spec in self.inputs.items()}
        answer = self._runner(**arrays)
        return {name: self._from_file(spec, answer[name]) for name, spec in self.outputs.items()}

    def _to_file(self, name: str, array: Any) -> Any:
        change = self._changes.get(name)
        if change is None:
            return array
        if change["axes"]:
            array = array.transpose(change["axes"])
        if change["dtype"].startswith(("int", "uint")):
            limits = np.iinfo(change["dtype"])
            if change["scale"]:
                steps = np.round(array.astype(np.float64) / change["scale"]) + change["zero_point"]
                array = np.clip(steps, limits.min, limits.max)
            elif array.size and (array.min() < limits.min or array.max() > limits.max):
                raise ValueError(f"input {name!r} does not fit {change['dtype']}: {change['why']}")
        return np.ascontiguousarray(array).astype(change["dtype"], copy=False)

    def _from_file(self, spec: dict[str, Any], array: Any) -> Any:
        change = self._changes.get(spec["name"])
        if change is None:
            return array
        if change["scale"]:
            array = (array.astype(np.float64) - change["zero_point"]) * change["scale"]
        if change["axes"]:
            array = array.transpose(np.argsort(change["axes"]))
        return np.ascontiguousarray(array).astype(spec["dtype"], copy=False)


def conformed(spec: dict[str, Any], value: Any) -> Any:
    """Give an array of the dtype and shape that a tensor of the signature has. Raises ValueError."""
    array = np.asarray(value)
    if array.dtype != spec["dtype"]:
        if array.dtype.kind != np.dtype(spec["dtype"]).kind:
            raise ValueError(f"input {spec['name']!r} has dtype {array.dtype}, the model wants {spec['dtype']}")
        array = array.astype(spec["dtype"])
    fits = len(array.shape) == len(spec["shape"])
    if not fits or any(array.shape[n] != size for n, size in enumerate(spec["shape"]) if isinstance(size, int)):
        raise ValueError(f"input {spec['name']!r} has shape {list(array.shape)}, the model wants {spec['shape']}")
    return np.ascontiguousarray(array)


def read(path: Path, model: Model) -> dict[str, Any]:
    """Read arrays by input name from an .npz, or the one input of a model from an .npy. Raises ValueError."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        if len(model.inputs) != 1:
            raise ValueError(f"{path} holds one array, the model has the inputs {sorted(model.inputs)}: give an .npz")
        return {next(iter(model.inputs)): loaded}
    with loaded:
        return dict(loaded)


def shown(model: Model, answer: dict[str, Any]) -> str:
    """Give the answer as text, with the likeliest label of each row where there are labels."""
    lines = []
    for name, array in answer.items():
        lines.append(f"{name} {array.dtype}{list(array.shape)}\n{array}")
        if name in model.labels:
            best = array.argmax(axis=-1).reshape(-1)
            lines.append("labels: " + ", ".join(model.labels[name][index] for index in best))
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the command line; 2 if the input does not fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, metavar="FILE.npz|FILE.npy")
    parser.add_argument("--output", type=Path, metavar="FILE.npz", help="write the answer there")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    model = Model(threads=args.threads)
    try:
        answer = model.predict(read(args.input, model))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if args.output:
        np.savez(args.output, **answer)
    sys.stdout.write(shown(model, answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
