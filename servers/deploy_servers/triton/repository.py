"""The model repository: which file of each version is served by which backend, and the configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy_core.artifact import Artifact
from deploy_core.errors import UnavailableError, UsageError
from deploy_core.signature import BATCH, Signature
from deploy_model_store import Version
from deploy_model_store.views import places
from deploy_servers.settings import Settings, number_option, switch_option
from deploy_servers.triton.config import Model, can_batch, config
from deploy_servers.triton.options import numbers
from deploy_servers.triton.program import RUNS, Program, choose, require_strings

FOLDER = "models"  # below the run's own folder
_MOST_ROWS = 256  # of a model that takes any number


@dataclass(frozen=True)
class Served:
    """All versions of one model, which have one configuration and one backend."""

    model: Model
    versions: tuple[Version, ...]
    artifact: Artifact


def served(versions: Sequence[Version], program: Program | None, settings: Settings) -> tuple[Served, ...]:
    """Give the models. Raises UsageError, TamperedError, UnavailableError for what cannot be served."""
    by_name: dict[str, list[Version]] = {}
    for version in versions:
        by_name.setdefault(version.name, []).append(version)
    return tuple(_served(tuple(group), program, settings) for group in by_name.values())


def configurations(models: Sequence[Served]) -> dict[str, str]:
    """Give the texts, by their places below the run's folder."""
    return {f"{FOLDER}/{one.model.name}/config.pbtxt": config(one.model) for one in models}


def links(models: Sequence[Served]) -> dict[str, Path]:
    """Give the files of all versions, by their places below the run's folder. Raises TamperedError."""
    found: dict[str, Path] = {}
    for one in models:
        shown = places(one.versions, "triton", artifact=one.artifact.name)
        found |= {f"{FOLDER}/{place}": path for place, path in shown.items()}
        if one.model.backend == "python":
            beside = _programs(one.artifact)
            found |= {f"{folder(version)}/{name}": path for version in one.versions for name, path in beside.items()}
    return found


def folder(version: Version) -> str:
    """Give the place of a version below the run's folder."""
    return f"{FOLDER}/{version.name}/{version.number}"


def _served(versions: tuple[Version, ...], program: Program | None, settings: Settings) -> Served:
    last = max(versions, key=lambda version: version.number)
    artifact = _artifact(last, settings.options)
    for version in versions:
        _require_same(version, last, version.artifact(artifact.name))
    backend = choose(program, settings.options.get("backend", ""), artifact.format)
    if backend == "python" and program is not None:
        require_strings(program, versions)
    if backend == "pytorch":
        _require_plain(last.signature)
    return Served(_model(versions, last, backend, settings), versions, artifact)


def _artifact(version: Version, options: Mapping[str, str]) -> Artifact:
    wanted, backend = options.get("artifact", ""), options.get("backend", "")
    if wanted:
        found = version.artifact(wanted)
        if found.format not in RUNS:
            raise UsageError(f"Triton does not serve {wanted}", hint=f"it serves {' and '.join(RUNS)}")
        return found
    names = [artifact.name for artifact in version.artifacts]
    able = [format_ for format_, backends in RUNS.items() if backend in ("", *backends)]
    for format_ in able:
        if format_ in names:
            return version.artifact(format_)
    return version.artifact(able[0] if able else "onnx")  # is not there, and says what is


def _require_same(version: Version, last: Version, artifact: Artifact) -> None:
    if artifact.changes:
        changed = ", ".join(change.tensor for change in artifact.changes)
        raise UsageError(
            f"{artifact.name} of {version} has other tensors than its source model ({changed})",
            hint="Triton serves files as they are: serve another artifact, or --server embedded",
        )
    if version.signature != last.signature:
        raise UsageError(
            f"{version} has other tensors than {last}, and Triton has one configuration for all versions of a model",
            hint="serve one of them, or each by a server of its own",
        )


def _require_plain(signature: Signature) -> None:
    """Raise UsageError for names by which Triton would order outputs otherwise than we do, and for more than it takes."""
    outputs = [spec.name for spec in signature.outputs]
    ends = [name.partition("__")[2] for name in outputs]
    if all(not end.strip("0123456789") and "__" in name for name, end in zip(outputs, ends, strict=True)):
        raise UsageError(
            f"Triton's pytorch backend reads the numbers in {', '.join(outputs)} as places",
            hint="name the outputs otherwise, or serve the onnx artifact",
        )
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype == "string" and len(spec.shape) > 1:
            raise UsageError(f"Triton's pytorch backend takes lists of strings only, not {spec}", hint="serve onnx")


def _model(versions: Sequence[Version], last: Version, backend: str, settings: Settings) -> Model:
    options = settings.options
    return Model(
        name=last.name,
        numbers=tuple(sorted(version.number for version in versions)),
        backend=backend,
        signature=last.signature,
        max_batch_size=_rows(versions, last, options),
        device=settings.device,
        instances=number_option(options, "instances", 1),
        preferred=numbers(options, "preferred_batch_size"),
        max_queue_delay_us=number_option(options, "max_queue_delay_us", 0, least=0),
        dynamic_batching=switch_option(options, "dynamic_batching", default=True),
        threads=number_option(options, "threads", 0, least=0),
        sizes=last.signature.sizes(last.golden.inputs) if settings.device.on_gpu else None,
    )


def _rows(versions: Sequence[Version], last: Version, options: Mapping[str, str]) -> int:
    """Give the most rows of a request, 0 for a model whose first axis is not Triton's affair."""
    if not can_batch(last.signature):
        if "max_batch_size" in options:
            raise UsageError(
                f"option max_batch_size is for models whose tensors all have a batch axis and another: {last} has not",
                hint="leave it out",
            )
        return 0
    golden = max(version.golden.rows for version in versions)
    proved = min(filter(None, map(_proved, versions)), default=max(_MOST_ROWS, golden))
    rows = number_option(options, "max_batch_size", proved)
    if rows < golden:
        raise UsageError(
            f"max_batch_size {rows} is less than the {golden} golden rows of {last}, which it must predict to be ready",
            hint=f"give {golden} or more",
        )
    return rows


def _proved(version: Version) -> int:
    """Give the most rows that the export has tried; 0 if it told no limit."""
    return int(version.agreement.get("promised", {}).get("ranges", {}).get(BATCH, (0, 0))[1])


def _programs(artifact: Artifact) -> dict[str, Path]:
    from deploy_servers.triton import model

    found = {"model.py": Path(model.__file__)}
    if artifact.format == "torchscript":
        spec = find_spec("deploy_exporters.deploy_handler")
        if spec is None or spec.origin is None:
            raise UnavailableError("deploy_exporters is not installed", hint="pip install deploy-toolkit")
        found["deploy_handler.py"] = Path(spec.origin)
    return found
