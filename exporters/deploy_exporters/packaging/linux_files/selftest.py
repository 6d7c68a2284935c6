"""Prove that this package is whole, and that it predicts here what was trained: python selftest.py

Exit code 0 if so, else 1. Needs what run.py needs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def damaged(folder: Path = HERE) -> list[str]:
    """Compare every file with SHA256SUMS; give what is wrong."""
    wrong = []
    for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if not (folder / name).is_file():
            wrong.append(f"{name} is missing")
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            wrong.append(f"{name} is not what was packaged")
    return wrong


def disagreements(folder: Path = HERE) -> list[str]:
    """Run the golden vectors at several batch sizes, print the figures; give what is wrong."""
    import numpy as np
    from run import Model  # type: ignore[import-not-found,unused-ignore]

    told = json.loads((folder / "golden" / "golden.json").read_text(encoding="utf-8"))
    arrays = {
        tensor["name"]: np.load(folder / "golden" / tensor["file"], allow_pickle=False)
        for side in ("inputs", "outputs")
        for tensor in told[side]
    }
    model, wrong = Model(folder), []
    sys.stdout.write(f"{'batch':>5}  {'off by':>8}  {'allowed':>8}  output\n")
    for size in told["batches"]:
        answer = model.predict({spec["name"]: _rows(arrays, spec, size) for spec in told["inputs"]})
        for spec in told["outputs"]:
            off = _distance(np, _rows(arrays, spec, size), answer[spec["name"]])
            sys.stdout.write(f"{size:>5}  {off:>8.2g}  {spec['tolerance']:>8.2g}  {spec['name']}\n")
            if not off <= spec["tolerance"]:  # NaN is no number, so it is never within
                wrong.append(f"output {spec['name']!r} is off by {off:.2g} in a batch of {size}")
    return wrong


def _rows(arrays: dict[str, Any], spec: dict[str, Any], size: int) -> Any:
    """Take the last rows of an array, so that not only the first ones are tried."""
    array, axis = arrays[spec["name"]], spec["rows"]
    if axis is None:
        return array
    index = [slice(None)] * array.ndim
    index[axis] = slice(array.shape[axis] - size, None)
    return array[tuple(index)]


def _distance(np: Any, want: Any, got: Any) -> float:
    if want.shape != got.shape:
        return float("nan")
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    apart = np.abs(want.astype(wide) - got.astype(wide))
    return float(np.where(want == got, 0.0, apart).max()) if want.size else 0.0  # equal infinities are 0 apart


def main() -> int:
    """Check the files, then the answers."""
    wrong = damaged()
    if not wrong:
        wrong = disagreements()
    for line in wrong:
        sys.stdout.write(f"WRONG: {line}\n")
    sys.stdout.write("selftest failed\n" if wrong else "selftest passed: all files are whole, all outputs agree\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
