from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_core.errors import TamperedError, UsageError
from deploy_model_store import Store, Version, disk, view

Publish = Callable[..., Version]


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_layouts(store: Store, publish: Publish) -> None:
    first, second = publish(), publish()
    folder = view([first, second], "tfserving", store.views / "tf")
    assert _files(folder) == [
        f"net/{number}/{file}" for number in (1, 2) for file in ("saved_model.pb", "variables/variables.index")
    ]
    assert _files(view(second, "torchserve", store.views / "ts")) == ["net.mar"]
    assert _files(view([first, second], "triton", store.views / "tri")) == ["net/1/model.onnx", "net/2/model.onnx"]
    saved = view(first, "triton", store.views / "saved", artifact="savedmodel")
    assert _files(saved)[0] == "net/1/model.savedmodel/saved_model.pb"
    assert (folder / "net" / "1" / "saved_model.pb").samefile(first.path / "savedmodel" / "saved_model.pb")
    assert store.names() == ["net"]


def test_a_view_is_replaced_as_a_whole(store: Store, publish: Publish) -> None:
    first, second = publish(), publish()
    view([first, second], "triton", store.views / "tri")
    assert _files(view(second, "triton", store.views / "tri")) == ["net/2/model.onnx"]
    assert [p.name for p in store.views.iterdir()] == ["tri"]


def test_another_filesystem_gets_copies(store: Store, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(disk.errno.EXDEV, "cross-device link")

    version = publish()
    monkeypatch.setattr(disk.os, "link", refuse)
    folder = view(version, "triton", store.views / "tri")
    copy = folder / "net" / "1" / "model.onnx"
    assert copy.read_bytes() == b"onnx"
    assert not copy.samefile(version.artifact("onnx").path)


def test_refusals_leave_nothing(store: Store, publish: Publish) -> None:
    first, second = publish(), publish()
    with pytest.raises(UsageError, match="unknown layout 'x'"):
        view(first, "x", store.views / "v")
    with pytest.raises(UsageError, match="Triton does not serve mar"):
        view(first, "triton", store.views / "v", artifact="mar")
    with pytest.raises(UsageError, match="two versions of net"):
        view([first, second], "torchserve", store.views / "v")
    first.artifact("mar").path.chmod(0o644)
    first.artifact("mar").path.write_bytes(b"zap")
    with pytest.raises(TamperedError, match=r"mar/net\.mar is changed"):
        view(first, "torchserve", store.views / "v")
    assert not store.views.exists()
