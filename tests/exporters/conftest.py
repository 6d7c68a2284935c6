"""Every example model exported to every format, once for all test processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from export_sources import BATCHES, HERE, MODELS, Model, formats_of, write

from deploy_core.artifact import Artifact
from deploy_core.errors import UsageError
from deploy_core.signature import Tensors, TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import OpenedSource, Order, export, open_source
from deploy_exporters.worker import Workers


@dataclass(frozen=True)
class Answer:
    """What the source model answered."""

    inputs: Tensors
    outputs: Tensors
    float64: Tensors | None


@dataclass(frozen=True)
class Exported:
    kind: str
    description: dict[str, object]
    steps: list[str]
    artifacts: dict[str, Artifact]
    reference: Artifact
    answers: dict[int, Answer]


def random_inputs(specs: tuple[TensorSpec, ...], rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    made = {}
    for spec in specs:
        shape = [rows if dim == "batch" else dim for dim in spec.shape]
        values = random.standard_normal(shape) if "float" in spec.dtype else random.integers(0, 11, shape)
        made[spec.name] = values.astype(spec.dtype)
    return made


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workers]:
    """Workers that load files for the whole session; started at once, so that no test seems to leave them behind."""
    with Workers(tmp_path_factory.mktemp("logs")) as started:
        started.call("runtime", "os:getpid")
        yield started


@pytest.fixture(scope="session")
def exported(shared: Callable[[str, Callable[[Path], None]], Path]) -> Callable[[str], Exported]:
    """Give one of MODELS exported to every format, with the source's answers."""

    def made(model: str) -> Exported:
        other = MODELS[model].export
        path = made(other[0]).artifacts[other[1]].path if other else None
        folder = shared(f"export-{model}", lambda folder: _export(model, folder, path))
        # Classes of a conftest have no module that pickle could find: plain data instead.
        data = pickle.loads((folder / "exported.pkl").read_bytes())
        answers = {rows: Answer(*answer) for rows, answer in data.pop("answers").items()}
        return Exported(**data, answers=answers)

    return made


def _export(model: str, folder: Path, file: Path | None) -> None:
    steps: list[str] = []
    with Workers(folder / "logs") as workers:
        source = file or _source(workers, MODELS[model], folder)
        inputs = tuple(map(TensorSpec.parse, MODELS[model].inputs))
        opened = open_source(workers, sources.find(str(source)), inputs=inputs)
        written = export(workers, opened, Order(formats_of(model), folder / "files", "net"), on_step=steps.append)
        answers = {}
        for rows in BATCHES:
            inputs = random_inputs(opened.signature.inputs, rows)
            answers[rows] = (inputs, opened.predict(inputs), _exact(opened, inputs))
    data = {
        "kind": opened.kind,
        "description": opened.description,
        "steps": steps,
        "artifacts": {artifact.name: artifact for artifact in written.artifacts},
        "reference": written.reference,
        "answers": answers,
    }
    (folder / "exported.pkl").write_bytes(pickle.dumps(data))


def _source(workers: Workers, model: Model, folder: Path) -> Path | str:
    return HERE / model.script if model.script else write(workers, model.file, folder)


def _exact(opened: OpenedSource, inputs: Tensors) -> Tensors | None:
    try:
        return opened.predict_float64(inputs)
    except UsageError:
        return None
