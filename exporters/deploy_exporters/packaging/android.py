"""An Android app: the model as an asset, a Kotlin class with its tensors' names, and an instrumented test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploy_core.changes import Change
from deploy_core.errors import ExportError
from deploy_core.signature import Array, Tensors
from deploy_exporters.packaging import kotlin
from deploy_exporters.packaging.contents import Contents
from deploy_exporters.packaging.graph import graph
from deploy_exporters.packaging.operators import Operator, told, unknown_to
from deploy_exporters.packaging.text import common, filled, listed
from deploy_exporters.packaging.vectors import golden

TITLE = "an Android app: Kotlin, and LiteRT from Google's Maven repository"
# What the name of a runtime in runtimes.json is in Gradle, and the least Android that it runs on.
_GRADLE = {"LiteRT 1.4.0": ("1.4.2", 21), "LiteRT 2.3.0": ("2.3.0", 24)}
_OLD, _NEW = _GRADLE
_FILES = Path(__file__).parent / "android_files"


def remarks(used: Sequence[Operator]) -> tuple[str, ...]:
    """Say whether the newer runtime is wanted. Raises ExportError if not even that will do."""
    if strange := unknown_to(_NEW, used):
        raise ExportError(told(_NEW, strange), hint="export the model with an older TensorFlow")
    strange = unknown_to(_OLD, used)
    return (f"{told(_OLD, strange)}: build.gradle.kts asks for LiteRT {_GRADLE[_NEW][0]}",) if strange else ()


def files(contents: Contents) -> dict[str, bytes]:
    """Give the model and its class below `src/main`, the test below `src/androidTest`, Gradle lines and papers."""
    inputs, outputs = _as_the_class_has_them(contents)
    code = kotlin.values(contents, graph(contents.model), inputs, outputs)
    values = {**common(contents), **_values(contents), **code}
    vectors = golden(contents, inputs, outputs)
    labels = {f"src/main/assets/{_labels(contents)}": contents.labels.content} if contents.labels else {}
    name, package = code["CLASS"], code["PACKAGE"]
    return {
        f"src/main/assets/{contents.file}": contents.model,
        f"src/main/kotlin/deploy/packaged/{package}/{name}.kt": filled(_FILES / "Model.kt", values),
        f"src/androidTest/kotlin/deploy/packaged/{package}/{name}Test.kt": filled(_FILES / "ModelTest.kt", values),
        **{f"src/androidTest/assets/{package}-golden/{file}": content for file, content in vectors.items()},
        **{file: filled(_FILES / file, values) for file in ("README.md", "build.gradle.kts")},
        **labels,
        **contents.papers(),
    }


def _labels(contents: Contents) -> str:
    return f"{contents.name}-labels.txt"  # an app may have several models


def _as_the_class_has_them(contents: Contents) -> tuple[Tensors, Tensors]:
    """Give the golden rows in the file's dtype and layout; the class itself goes between floats and integers."""
    changes = {change.tensor: change for change in contents.artifact.changes}

    def form(name: str, array: Array) -> Array:
        change = changes.get(name)
        if change is None:
            return array
        kept = replace(change, dtype="float32", scale=0.0) if change.scale else change
        return kept.to_file(array)

    return (
        {name: form(name, array) for name, array in contents.inputs.items()},
        {name: form(name, array) for name, array in contents.outputs.items()},
    )


def _values(contents: Contents) -> dict[str, str]:
    file, labels = contents.artifact.file_signature, contents.labels
    version, sdk = _GRADLE[_NEW if any(_OLD in remark for remark in contents.remarks) else _OLD]
    return {
        "LITERT": version,
        "MIN_SDK": str(sdk),
        "INPUTS": listed(file.inputs),
        "OUTPUTS": listed(file.outputs),
        "ROWS_MORE": f"| `src/main/assets/{_labels(contents)}` | the labels of `{labels.output}` |\n" if labels else "",
        "CHANGES": "".join(f"\n- {_changed(change)}" for change in contents.artifact.changes),
    }


def _changed(change: Change) -> str:
    if change.scale:
        return f"`{change.tensor}` is {change.dtype} in the file; the class takes and gives floats"
    order = f", with its axes in the order {list(change.axes)}" if change.axes else ""
    return f"`{change.tensor}` is {change.dtype}{order}: {change.why or 'not as it was trained'}"
