"""The step from a torch.export program to Core ML. Nothing here can run what it writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import torch
from torch._decomp.decompositions import lstm_impl
from torch.export import ExportedProgram

from deploy_core.changes import Change
from deploy_core.errors import ExportError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import bounds
from deploy_exporters.lean_import import coremltools
from deploy_exporters.pt2 import Program
from deploy_exporters.sources import examples
from deploy_exporters.sources.torch import TorchSource
from deploy_exporters.steps import bounded
from deploy_exporters.steps.job import Job, Written
from deploy_exporters.steps.ways import first_proved

NOT_RUN = "written, not run: Core ML runs on Apple's systems only"
_DATE = "com.github.apple.coremltools.conversion_date"
_MODEL = "Data/com.apple.CoreML/model.mlmodel"
_DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}  # ArrayFeatureType.ArrayDataType


def coreml_from_pt2(job: Job) -> Written:
    """Write an ML program in float32 for iOS 17 and macOS 14; the torch program that it is made of is proved."""
    sizes = bounds.greatest(job)
    program = bounded.program(job, sizes)
    made: dict[str, Any] = {}

    def way(name: str, decompositions: Mapping[Any, Any]) -> None:
        made[name] = _converted(program, job, {**decompositions, torch.ops.aten.lstm.input: lstm_impl})

    ways = {
        "": lambda: way("", {}),  # as its maker advises
        "core ATen": lambda: way("core ATen", torch.export.default_decompositions()),
    }
    how = first_proved(ways, lambda name: None, "Core ML", hint="leave coreml out")
    return _written(made[how], job, sizes, how)


def _converted(program: ExportedProgram, job: Job, decompositions: Mapping[Any, Any]) -> Any:
    program = program.run_decompositions(dict(decompositions))
    source = TorchSource(Program(program), job.signature, examples.from_specs(job.signature.inputs))
    job.prove(source, "the program that is given to Core ML's converter")
    signature = job.signature
    library = coremltools()
    return library.convert(
        program,
        outputs=[library.TensorType(name=spec.name) for spec in signature.outputs],
        minimum_deployment_target=library.target.iOS17,
        compute_precision=library.precision.FLOAT32,
        skip_model_load=True,
    )


def _written(model: Any, job: Job, sizes: Mapping[str, int], how: str) -> Written:
    spec = model.get_spec()
    features = list(_features(spec, job.signature))
    _open_ranges(spec, job.signature)
    _save(spec, model.weights_dir, job.writes)
    renamed = [f"Core ML calls {told.name!r} {name!r}" for told, name, _ in features if told.name != name]
    changes = tuple(_change(told, dtype) for told, _, dtype in features if told.dtype != dtype)
    return Written(how, changes, (NOT_RUN, bounds.remark(sizes), *renamed))


def _features(spec: Any, signature: Signature) -> Iterator[tuple[TensorSpec, str, str]]:
    """Give each tensor with its name and dtype in the file."""
    for features, specs in ((spec.description.input, signature.inputs), (spec.description.output, signature.outputs)):
        if len(features) != len(specs):
            raise ExportError(
                f"the Core ML file has {len(features)} tensors where the model has {', '.join(s.name for s in specs)}",
                hint="an input that the model does not use gets lost",
            )
        for feature, told in zip(features, specs, strict=True):
            yield told, feature.name, _DTYPES[feature.type.multiArrayType.dataType]


def _change(told: TensorSpec, dtype: str) -> Change:
    return Change(told.name, dtype, why=f"Core ML has no {told.dtype} tensors")


def _open_ranges(spec: Any, signature: Signature) -> None:
    """Let symbols begin at 1: torch.export leaves out 1, which it compiles apart, though the program holds for it."""
    for feature, told in zip(spec.description.input, signature.inputs, strict=True):
        ranges = feature.type.multiArrayType.shapeRange.sizeRanges
        for dim, size in zip(told.shape, ranges, strict=False):
            if isinstance(dim, str):
                size.lowerBound = 1


def _save(spec: Any, weights: str | None, path: Path) -> None:
    """Save a package without the date and the random ids that it gets."""
    spec.description.metadata.userDefined.pop(_DATE, None)
    if path.exists():
        shutil.rmtree(path)
    coremltools().models.utils.save_spec(spec, str(path), weights_dir=weights)
    (path / _MODEL).write_bytes(spec.SerializeToString(deterministic=True))  # else its maps are in any order
    manifest = path / "Manifest.json"
    manifest.write_text(json.dumps(_named(json.loads(manifest.read_text())), indent=4, sort_keys=True) + "\n")


def _named(manifest: Mapping[str, Any]) -> dict[str, Any]:
    ids = {old: str(uuid5(NAMESPACE_URL, item["path"])).upper() for old, item in manifest["itemInfoEntries"].items()}
    return {
        **manifest,
        "itemInfoEntries": {ids[old]: item for old, item in manifest["itemInfoEntries"].items()},
        "rootModelIdentifier": ids[manifest["rootModelIdentifier"]],
    }
