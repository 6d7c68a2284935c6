"""Where each server finds a version, and how stored files come there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_core.errors import TamperedError, UsageError
from deploy_model_store import Version, disk
from deploy_model_store.views import places

Publish = Callable[..., Version]


def test_layouts(publish: Publish) -> None:
    first, second = publish(), publish()
    assert places([first, second], "tfserving") == {
        "net/1": first.path / "savedmodel",
        "net/2": second.path / "savedmodel",
    }
    assert places([second], "torchserve") == {"net.mar": second.artifact("mar").path}
    assert list(places([first, second], "triton")) == ["net/1/model.onnx", "net/2/model.onnx"]
    assert list(places([first], "triton", artifact="savedmodel")) == ["net/1/model.savedmodel"]


def test_refusals(publish: Publish) -> None:
    first, second = publish(), publish()
    with pytest.raises(UsageError, match="unknown layout 'x'"):
        places([first], "x")
    with pytest.raises(UsageError, match="Triton does not serve mar"):
        places([first], "triton", artifact="mar")
    with pytest.raises(UsageError, match="two versions of net"):
        places([first, second], "torchserve")
    first.artifact("mar").path.chmod(0o644)
    first.artifact("mar").path.write_bytes(b"zap")
    with pytest.raises(TamperedError, match=r"mar/net\.mar is changed"):
        places([first], "torchserve")


def test_links_and_on_another_filesystem_copies(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(disk.errno.EXDEV, "cross-device link")

    stored = publish().artifact("savedmodel").path
    disk.link_tree(stored, tmp_path / "link")
    monkeypatch.setattr(disk.os, "link", refuse)
    disk.link_tree(stored, tmp_path / "copy")
    for file in ("saved_model.pb", "variables/variables.index"):
        assert (tmp_path / "link" / file).samefile(stored / file)
        assert not (tmp_path / "copy" / file).samefile(stored / file)
        assert (tmp_path / "copy" / file).read_bytes() == (stored / file).read_bytes()
