"""An archive that takes raw bytes: its handler prepares them by the steps that lie beside it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_store import STEPS, by_hand, jpeg, publish, scores_of, top

from deploy_core.errors import UsageError
from deploy_core.preprocessing import MODULES
from deploy_exporters.formats import mar
from deploy_model_store import Store, Version

DATA = jpeg(40, 56, 1)
WANT = scores_of(by_hand(DATA))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return publish(Store(tmp_path_factory.mktemp("raw")), "seen", STEPS)


@pytest.fixture
def archive(version: Version) -> Iterator[mar.Archive]:
    opened = mar.load(version.artifact("mar").path)  # ours to the byte, the steps' modules included
    try:
        yield opened
    finally:
        opened.close()


def asked(archive: mar.Archive, *bodies: Any, key: str = "body") -> list[Any]:
    return archive.handle([{key: body} for body in bodies])


@pytest.mark.parametrize("key", ["body", "data"])
def test_labels_with_scores(archive: mar.Archive, key: str) -> None:
    (answer,) = asked(archive, bytearray(DATA), key=key)
    assert list(answer) == list(top(WANT[0]))
    np.testing.assert_allclose(list(answer.values()), list(top(WANT[0]).values()), rtol=1e-5, atol=1e-5)


def test_raw_bytes_and_tensors_in_one_batch(archive: mar.Archive) -> None:
    images = np.random.default_rng(3).normal(size=(2, 3, 8, 8)).astype(np.float32)
    first, second, third = asked(
        archive, bytearray(DATA), {"inputs": {"image": images.tolist()}}, bytearray(b"\xff nothing")
    )
    assert next(iter(first)) == next(iter(top(WANT[0])))
    np.testing.assert_allclose(second["outputs"]["scores"], scores_of(images), rtol=1e-4, atol=1e-5)
    assert "it is no image in AVIF, BMP" in third["error"]
    assert archive.context.statuses == {2: 400}
    np.testing.assert_allclose(archive.predict({"image": images})["scores"], scores_of(images), rtol=1e-4, atol=1e-5)


def test_it_carries_the_modules_as_they_are(version: Version) -> None:
    with zipfile.ZipFile(version.artifact("mar").path) as opened:
        for name, path in MODULES.items():
            assert opened.read(name) == path.read_bytes()
            imports = [line for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
            assert not [line for line in imports if "deploy_" in line]
        told = json.loads(opened.read("deploy_raw.json"))
    assert told["labels"][0] == "cat"
    assert told["steps"][0]["step"] == "decode"


def test_other_code_in_their_place_is_a_strangers(version: Version, tmp_path: Path) -> None:
    other = tmp_path / "other.mar"
    with zipfile.ZipFile(version.artifact("mar").path) as opened, zipfile.ZipFile(other, "w") as written:
        for name in opened.namelist():
            body = opened.read(name)
            written.writestr(name, body + b"\nraise SystemExit\n" if name == "deploy_running.py" else body)
    with pytest.raises(UsageError, match="a handler that is not ours"):
        mar.load(other)
