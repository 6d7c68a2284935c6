"""The functions for notebooks, each called twice: nothing that a first call imports may take a function's place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import deploy_toolkit
from deploy_core.errors import UsageError


def test_every_public_function_works_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
    model = torch.nn.Linear(6, 2).eval()
    want = model(torch.from_numpy(x)).detach().numpy()
    for number in (1, 2):
        exported = deploy_toolkit.export(model, to=["onnx"], name="net", example={"input": x})
        assert (str(exported.version), exported.report.ok) == (f"net@{number}", True)
    for transport in ("rest", "grpc"):
        with deploy_toolkit.serve("net", transport=transport, dialect="oip") as endpoint:
            assert (endpoint.dialect, endpoint.transport, endpoint.version) == ("oip", transport, "2")
            client = deploy_toolkit.connect(endpoint)
            np.testing.assert_allclose(client.predict({"input": x})["output"], want, rtol=1e-5, atol=1e-6)
            client.close()
            assert deploy_toolkit.check("net", endpoint).ok
    for name in ("net@1", "net"):
        answer = deploy_toolkit.predict(name, {"input": x.tolist()})
        np.testing.assert_allclose(answer["output"], want, rtol=1e-5, atol=1e-6)
    with pytest.raises(UsageError, match="transport soap"), deploy_toolkit.serve("net", transport="soap"):
        pass


def test_a_model_without_a_name_is_called_after_its_class(tmp_path: Path) -> None:
    exported = deploy_toolkit.export(
        torch.nn.Linear(6, 2), to=["torchscript"], example=np.ones((3, 6), np.float32), store=tmp_path
    )
    assert str(exported.version) == "linear@1"
