"""A Linux device with Python: `run.py` and `selftest.py` need numpy and one of the two runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy_core.signature import TensorSpec
from deploy_exporters.packaging.contents import Contents
from deploy_exporters.packaging.operators import Operator, told, unknown_to
from deploy_exporters.packaging.text import common, filled
from deploy_exporters.packaging.vectors import golden

TITLE = "Linux with Python: numpy, and ai-edge-litert or tflite-runtime"
_OLD = "tflite-runtime 2.14.0"
_FILES = Path(__file__).parent / "linux_files"


def remarks(used: Sequence[Operator]) -> tuple[str, ...]:
    """Say whether the older runtime will do."""
    strange = unknown_to(_OLD, used)
    return (f"{told(_OLD, strange)}: install ai-edge-litert on the device",) if strange else ()


def files(contents: Contents) -> dict[str, bytes]:
    """Give the model, the two programs, golden vectors and papers."""
    vectors = golden(contents, contents.inputs, contents.outputs)
    labels = {contents.labels.file: contents.labels.content} if contents.labels else {}
    return {
        contents.file: contents.model,
        **{name: (_FILES / name).read_bytes() for name in ("run.py", "selftest.py")},
        "README.md": filled(_FILES / "README.md", _values(contents)),
        **{f"golden/{name}": content for name, content in vectors.items()},
        **labels,
        **contents.papers(),
    }


def _values(contents: Contents) -> dict[str, str]:
    ones = {spec.name: _ones(spec) for spec in contents.signature.inputs}
    raw = {spec.name: _ones(spec) for spec in contents.artifact.file_signature.inputs}
    labels = contents.labels
    old = any(_OLD in remark for remark in contents.remarks)
    return common(contents) | {
        "ROWS_MORE": f"| `{labels.file}` | the labels of `{labels.output}` |\n" if labels else "",
        "INSTALL": "pip install ai-edge-litert numpy"
        + ("" if old else '                # or: pip install tflite-runtime==2.14.0 "numpy<2"'),
        "EXAMPLE_SAVEZ": _arguments({name: made.replace("np.", "numpy.") for name, made in ones.items()}, "'"),
        "EXAMPLE_DICT": ", ".join(f'"{name}": {made}' for name, made in ones.items()),
        "EXAMPLE_RUNNER": _arguments(raw, '"'),
        "EXAMPLE_PRINTS": "\n".join(f'print(answer["{spec.name}"])' for spec in contents.signature.outputs),
        "CHANGED": " (in the form that the file has)" if contents.artifact.changes else "",
    }


def _ones(spec: TensorSpec) -> str:
    sizes = ", ".join(str(dim if isinstance(dim, int) else 2) for dim in spec.shape)
    return (
        f"np.ones(({sizes}{',' if len(spec.shape) == 1 else ''}), np.{'bool_' if spec.dtype == 'bool' else spec.dtype})"
    )


def _arguments(values: dict[str, str], quote: str) -> str:
    if all(name.isidentifier() for name in values):
        return ", ".join(f"{name}={made}" for name, made in values.items())
    return f"**{{{', '.join(f'{quote}{name}{quote}: {made}' for name, made in values.items())}}}"
