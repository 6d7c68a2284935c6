"""Every example model exported to every format, once for all test processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deploy_core.artifact import Artifact
from deploy_core.signature import Tensors, TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import export, open_source
from deploy_exporters.formats import PUBLIC
from deploy_exporters.worker import Workers

HERE = Path(__file__).parent
MODELS = {
    "torch-simple": "torch_models.py:simple_with_example",
    "torch-cnn": "torch_models.py:cnn_with_example",
    "torch-heads": "torch_models.py:heads_with_example",
    "keras-simple": "keras_models.py:simple",
    "keras-cnn": "keras_models.py:cnn",
    "keras-heads": "keras_models.py:heads",
}
BATCHES = (1, 2, 7)


@dataclass(frozen=True)
class Answer:
    """What the source model answered."""

    inputs: Tensors
    outputs: Tensors
    float64: Tensors


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
        folder = shared(f"export-{model}", lambda path: _export(model, path))
        # Classes of a conftest have no module that pickle could find: plain data instead.
        data = pickle.loads((folder / "exported.pkl").read_bytes())
        answers = {rows: Answer(*answer) for rows, answer in data.pop("answers").items()}
        return Exported(**data, answers=answers)

    return made


def _export(model: str, folder: Path) -> None:
    steps: list[str] = []
    with Workers(folder / "logs") as workers:
        opened = open_source(workers, sources.find(str(HERE / MODELS[model])))
        written = export(workers, opened, PUBLIC, folder=folder / "files", name="net", on_step=steps.append)
        answers = {}
        for rows in BATCHES:
            inputs = random_inputs(opened.signature.inputs, rows)
            answers[rows] = (inputs, opened.predict(inputs), opened.predict_float64(inputs))
    data = {
        "kind": opened.kind,
        "description": opened.description,
        "steps": steps,
        "artifacts": {artifact.name: artifact for artifact in written.artifacts},
        "reference": written.reference,
        "answers": answers,
    }
    (folder / "exported.pkl").write_bytes(pickle.dumps(data))
