from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_core.errors import TamperedError, UnavailableError, UsageError
from deploy_model_store import Damage, Store, Version

Publish = Callable[..., Version]


def _write(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    _write(path, bytes(data))


def test_an_intact_version(publish: Publish) -> None:
    version = publish()
    assert version.verify() == ()
    for artifact in version.artifacts:
        version.require_intact(artifact)


def test_a_flipped_byte_anywhere_is_found(store: Store, publish: Publish) -> None:
    for name in publish().files:
        version = publish()
        _flip(version.path / name, 1)
        (damage,) = store.version("net", version.number).verify()
        assert (damage.file, damage.problem, damage.want) == (name, "changed", version.files[name].sha256)
        assert damage.got not in ("", damage.want)
        assert name in str(damage)


def test_missing_extra_and_linked_files(publish: Publish) -> None:
    version = publish()
    (version.path / "mar" / "net.mar").unlink()
    (version.path / "savedmodel" / "extra.pb").write_bytes(b"")
    onnx = version.artifact("onnx").path
    onnx.rename(version.path.parent / "kept")
    onnx.symlink_to(version.path.parent / "kept")
    assert version.verify() == (
        Damage("mar/net.mar", "missing", want=version.files["mar/net.mar"].sha256),
        Damage("onnx/model.onnx", "changed", want=version.files["onnx/model.onnx"].sha256),
        Damage("savedmodel/extra.pb", "extra"),
    )


def test_a_file_that_may_not_be_read_is_told(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    version = publish()
    monkeypatch.setattr("deploy_model_store.version.digest_of", refuse)
    with pytest.raises(UnavailableError, match=r"cannot be read.*model\.onnx") as caught:
        version.require_intact(version.artifact("onnx"))
    assert "permissions" in str(caught.value.hint)
    with pytest.raises(UnavailableError):
        version.verify()


def test_only_the_damaged_artifact_is_refused(publish: Publish) -> None:
    version = publish()
    _flip(version.path / "savedmodel" / "variables" / "variables.index", 0)
    version.require_intact(version.artifact("onnx"))
    with pytest.raises(TamperedError, match=r"net@1: savedmodel/variables/variables\.index is changed") as caught:
        version.require_intact(version.artifact("savedmodel"))
    assert caught.value.exit_code == 4
    assert caught.value.hint


def test_damaged_golden_data_are_refused(publish: Publish, store: Store) -> None:
    _flip(publish().path / "golden.safetensors", -1)
    with pytest.raises(TamperedError, match=r"golden\.safetensors is changed"):
        _ = store.resolve("net").golden


def test_a_cut_manifest_is_one_sentence(publish: Publish, store: Store) -> None:
    path = publish().path / "manifest.json"
    whole = path.read_bytes()
    for keep in (0, 1, len(whole) // 2, len(whole) - 2, len(whole) - 1):
        _write(path, whole[:keep])
        with pytest.raises(TamperedError, match=r"manifest\.json") as caught:
            store.resolve("net")
        assert caught.value.hint
    path.unlink()
    with pytest.raises(TamperedError, match=r"manifest\.json cannot be read"):
        store.resolve("net")


def test_every_byte_of_the_manifest_counts(publish: Publish, store: Store) -> None:
    path = publish().path / "manifest.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 23):
        _flip(path, place)
        with pytest.raises((TamperedError, UsageError), match=r"manifest\.json"):
            store.resolve("net")
        _write(path, whole)
    assert store.resolve("net").verify() == ()


def _sealed(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change a manifest as a toolkit would that seals what it writes."""
    from deploy_model_store import manifest

    data = json.loads(path.read_text())
    data.pop("seal")
    change(data)
    _write(path, manifest._render(data | {"seal": manifest._seal(data)}).encode())


def test_a_newer_schema_says_to_upgrade(publish: Publish, store: Store) -> None:
    _sealed(publish().path / "manifest.json", lambda data: data.update(schema=2))
    with pytest.raises(UsageError, match="schema version 2") as caught:
        store.resolve("net")
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "onnx/../../x", ""])
def test_a_manifest_cannot_lead_out_of_its_version(publish: Publish, store: Store, path: str) -> None:
    def lead_out(data: dict[str, object]) -> None:
        data["artifacts"][0]["path"] = path  # type: ignore[index]

    _sealed(publish().path / "manifest.json", lead_out)
    with pytest.raises(TamperedError, match="manifest names the path"):
        store.resolve("net")


def test_a_manifest_without_a_field(publish: Publish, store: Store) -> None:
    _sealed(publish().path / "manifest.json", lambda data: data.pop("signature"))
    with pytest.raises(TamperedError, match="cannot be used"):
        store.resolve("net")


def test_an_absent_artifact_names_those_there_are(publish: Publish) -> None:
    with pytest.raises(UsageError, match="net@1 has no artifact 'tflite'") as caught:
        publish().artifact("tflite")
    assert "onnx, savedmodel, mar" in caught.value.hint


def test_a_version_without_a_usable_manifest_is_damaged_beside_others(store: Store, publish: Publish) -> None:
    for _ in range(3):
        publish()
    _flip(store.root / "net" / "1" / "manifest.json", 40)
    (store.root / "net" / "2" / "manifest.json").unlink()
    assert store.locate("net@2") == ("net", 2)
    assert [store.verify("net", number) for number in (1, 2, 3)] == [
        (Damage("manifest.json", "changed"),),
        (Damage("manifest.json", "missing"),),
        (),
    ]
    assert str(Damage("manifest.json", "changed")) == "manifest.json is changed"
