from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy_core.artifact import Artifact, digest_of
from deploy_core.errors import TamperedError, UnavailableError, UsageError
from deploy_model_store import Golden, Record, Store, Version

Publish = Callable[..., Version]


def test_a_version_comes_back_whole(store: Store, fill: Callable[..., Record], golden_data: Golden) -> None:
    with store.staging("net") as staged:
        record = fill(staged)
        version = store.publish(staged, "net", record, golden_data)
    again = store.resolve("net")
    assert (again.name, again.number, str(again)) == ("net", 1, "net@1")
    assert again.record == version.record
    assert again.signature == record.signature
    assert again.agreement == record.agreement
    assert (again.record.preprocessing, again.record.labels, again.record.license) == (None, None, None)
    assert [a.name for a in again.artifacts] == ["onnx", "savedmodel", "mar"]
    assert again.reference is not None
    assert again.reference.path.read_bytes() == b"source"
    onnx = again.artifact("onnx")
    assert onnx.path == store.root / "net" / "1" / "onnx" / "model.onnx"
    assert onnx.digest == digest_of(onnx.path)
    assert (onnx.route, onnx.options, onnx.tools) == (("torch-onnx",), {"opset": "20"}, {"torch": "2.13"})
    np.testing.assert_array_equal(again.golden.inputs["x"], golden_data.inputs["x"])
    assert again.golden.rows == 2


def test_the_manifest_lists_every_file(publish: Publish) -> None:
    version = publish()
    listed = json.loads((version.path / "manifest.json").read_text())["files"]
    there = {p.relative_to(version.path).as_posix() for p in version.path.rglob("*") if p.is_file()}
    assert set(listed) == there - {"manifest.json"}
    assert "golden.safetensors" in listed
    for name, fact in listed.items():
        assert fact == {"sha256": digest_of(version.path / name), "bytes": (version.path / name).stat().st_size}


def test_files_are_read_only_and_folders_open_to_all(publish: Publish) -> None:
    version = publish()
    assert version.path.stat().st_mode & 0o777 == 0o755
    for path in version.path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o444), path


def test_names_and_versions(store: Store, publish: Publish) -> None:
    assert store.names() == []
    publish("b")
    publish("a")
    publish("b")
    (store.root / "never-finished").mkdir()
    (store.root / "no name" / "1").mkdir(parents=True)
    for strange in ("1e3", "-1", " 1", "007", "0", "٣"):
        (store.root / "a" / strange).mkdir()
    assert store.names() == ["a", "b"]
    assert (store.versions("a"), store.versions("b"), store.versions("c")) == ([1], [1, 2], [])


def test_resolve(store: Store, publish: Publish) -> None:
    for _ in range(11):
        publish()
    store.set_alias("net", "stable", 3)
    assert store.resolve("net").number == 11
    assert store.resolve("net@10").number == 10
    assert store.resolve("net@stable").number == 3


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("other", "no model 'other'", "it holds: net"),
        ("net@2", "net has no version 2", "its versions: 1"),
        ("net@new", "net has no alias 'new'", r"its aliases: stable \(version 1\)"),
        ("net@", "'' is no alias", "begin with a letter"),
        ("net@0", "'0' is no alias", ""),
        ("net@01", "'01' is no alias", ""),
        ("net@-1", "'-1' is no alias", ""),
        ("net@1@2", "'1@2' is no alias", ""),
        ("../net", "is no name", ""),
    ],
)
def test_resolve_says_what_there_is(store: Store, publish: Publish, reference: str, message: str, hint: str) -> None:
    publish()
    store.set_alias("net", "stable", 1)
    with pytest.raises(UsageError, match=message) as caught:
        store.resolve(reference)
    assert re.search(hint, caught.value.hint)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", "-a", ".a", "_a", "a/b", "a b", "a@b", "ä", "a\n", "a" * 129, "a\0"]
)
def test_bad_names(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a model"), store.staging(name):
        pass
    with pytest.raises(UsageError, match="is no name for a model"):
        store.versions(name)
    assert not store.root.exists()


@pytest.mark.parametrize("name", ["a", "A-b_c.1", "0", "a" * 128])
def test_good_names(publish: Publish, name: str) -> None:
    assert str(publish(name)) == f"{name}@1"


def test_aliases(store: Store, publish: Publish) -> None:
    publish()
    publish()
    assert store.aliases("net") == {}
    store.set_alias("net", "stable", 1)
    store.set_alias("net", "canary", 2)
    store.set_alias("net", "stable", 2)
    assert store.aliases("net") == {"stable": 2, "canary": 2}
    store.remove_alias("net", "canary")
    assert json.loads((store.root / "net" / "aliases.json").read_text()) == {"stable": 2}
    with pytest.raises(UsageError, match="has no alias 'canary'"):
        store.remove_alias("net", "canary")
    with pytest.raises(UsageError, match="has no version 3"):
        store.set_alias("net", "stable", 3)
    for bad in ("1", "1e3", "-1", "", "a b", "a/../b"):
        with pytest.raises(UsageError, match="is no alias"):
            store.set_alias("net", bad, 1)
    assert store.aliases("net") == {"stable": 2}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stable": "1"}', '{"stable": true}'])
def test_damaged_aliases(store: Store, publish: Publish, text: str) -> None:
    (publish().path.parent / "aliases.json").write_text(text)
    with pytest.raises(TamperedError, match=r"aliases\.json"):
        store.resolve("net@stable")


def test_staging_leaves_nothing(store: Store, publish: Publish, fill: Callable[..., Record]) -> None:
    def fail() -> None:
        with store.staging("net") as staged:
            fill(staged)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    publish()
    assert [p.name for p in (store.root / ".staging").iterdir()] == ["area.lock"]
    assert store.names() == ["net"]


def test_staging_folders_of_the_living_stay(store: Store) -> None:
    with store.staging("net") as mine, store.staging("net") as other:
        assert mine != other
        assert mine.is_dir()
        assert mine.stat().st_dev == store.root.stat().st_dev


def test_a_record_must_fit(store: Store, fill: Callable[..., Record], golden_data: Golden, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"onnx")
    with store.staging("net") as staged:
        record = fill(staged)
        onnx = record.artifacts[0]
        for artifacts, message in (
            ((onnx, onnx), "two artifacts are called 'onnx'"),
            ((replace(onnx, path=tmp_path / "elsewhere"),), "lies outside"),
            ((replace(onnx, path=staged),), "cannot be all of"),
            ((replace(onnx, path=staged / "no.onnx"),), "does not exist"),
        ):
            with pytest.raises(UsageError, match=message):
                store.publish(staged, "net", replace(record, artifacts=artifacts), golden_data)
        with pytest.raises(TamperedError, match="has changed since it was exported"):
            store.publish(staged, "net", replace(record, artifacts=(replace(onnx, digest="0" * 64),)), golden_data)
        (staged / "link").symlink_to("/etc/hostname")
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            store.publish(staged, "net", record, golden_data)
    with pytest.raises(UsageError, match="was not made by this store"):
        store.publish(tmp_path, "net", record, golden_data)
    assert store.names() == []


def test_extend_carries_the_old_files_over(store: Store, publish: Publish) -> None:
    first = publish()
    with store.staging("net") as staged:
        (staged / "tflite-int8").mkdir()
        (staged / "tflite-int8" / "model.tflite").write_bytes(b"lite")
        new = Artifact("tflite", staged / "tflite-int8" / "model.tflite", first.signature, "int8")
        second = store.extend(staged, first, [new], agreement={"ok": True, "rows": []})
    assert (second.number, second.training_id) == (2, first.training_id)
    assert [a.name for a in second.artifacts] == ["onnx", "savedmodel", "mar", "tflite-int8"]
    assert second.agreement == {"ok": True, "rows": []}
    for name in ("onnx/model.onnx", "savedmodel/variables/variables.index", "mar/net.mar", "reference/model.pt2"):
        assert (second.path / name).samefile(first.path / name)
    assert (first.verify(), second.verify()) == ((), ())
    np.testing.assert_array_equal(second.golden.outputs["y"], first.golden.outputs["y"])


def test_extend_takes_a_new_artifact_for_an_old_one(store: Store, publish: Publish, golden_data: Golden) -> None:
    first = publish()
    with store.staging("net") as staged:
        (staged / "onnx").mkdir()
        (staged / "onnx" / "model.onnx").write_bytes(b"better")
        new = Artifact("onnx", staged / "onnx" / "model.onnx", first.signature)
        second = store.extend(staged, first, [new], golden=replace(golden_data, noise_origin="again"))
    assert first.artifact("onnx").path.read_bytes() == b"onnx"
    assert second.artifact("onnx").path.read_bytes() == b"better"
    assert second.golden.noise_origin == "again"
    assert second.verify() == ()


def test_extend_carries_files_that_no_artifact_names(
    store: Store, fill: Callable[..., Record], golden_data: Golden
) -> None:
    with store.staging("net") as staged:
        record = fill(staged)
        (staged / "onnx" / "model.onnx.data").write_bytes(b"weights")
        first = store.publish(staged, "net", record, golden_data)
    with store.staging("net") as staged:
        second = store.extend(staged, first)
    assert (second.path / "onnx" / "model.onnx.data").read_bytes() == b"weights"
    assert set(second.files) == set(first.files)


def test_extend_refuses_damaged_files(store: Store, publish: Publish) -> None:
    first = publish()
    Path(first.artifact("mar").path).chmod(0o644)
    first.artifact("mar").path.write_bytes(b"zap")
    with store.staging("net") as staged, pytest.raises(TamperedError, match=r"mar/net\.mar is changed"):
        store.extend(staged, first)
    assert store.versions("net") == [1]


def test_a_number_that_an_alias_knows_is_not_given_again(store: Store, publish: Publish) -> None:
    publish()
    store.set_alias("net", "stable", publish().number)
    shutil.rmtree(store.root / "net" / "2")
    assert publish().number == 3


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"), Store(tmp_path / "file").staging("net"):
        pass
