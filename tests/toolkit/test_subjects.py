"""What a word on the command line means."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from server_store import fill_store

from deploy_core.errors import UsageError
from deploy_model_store import Store
from deploy_toolkit.flows import check, export, subjects


@pytest.fixture(scope="module")
def shelf(shared: Callable[[str, Callable[[Path], None]], Path]) -> Store:
    return Store(shared("servers-store", fill_store))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_word_that_is_both_stored_and_a_file_is_refused_wherever_it_stands(shelf: Store) -> None:
    assert str(subjects.find("linear@1", shelf)) == "linear@1"
    Path("linear").mkdir()
    for told in (
        lambda: subjects.find("linear", shelf),
        lambda: export.export(export.Request("linear", ("onnx",)), store=shelf.root),
    ):
        with pytest.raises(UsageError, match="'linear' is a stored model, and a file") as raised:
            told()
        assert raised.value.hint.startswith("./linear is the file, linear@")
    assert subjects.find("./linear", shelf) == Path("linear")
    assert str(subjects.find("linear@1", shelf)) == "linear@1"


def test_a_word_that_is_nothing_is_told_without_naming_a_command(shelf: Store) -> None:
    """Several commands take such words, so that the help of one of them would mislead."""
    with pytest.raises(UsageError, match="'linaer' is neither a stored model nor a file nor an endpoint") as raised:
        subjects.find("linaer", shelf)
    assert raised.value.hint == f"the store {shelf.root} holds {', '.join(shelf.names())}"


def test_a_model_that_takes_other_inputs_is_told_whose_it_was_asked(shelf: Store) -> None:
    report = check.check(check.Request(("linear@1", "scripted")), store=shelf.root)
    told = {row.subject: row.error for row in report.rows}
    assert told["linear@1/onnx"] == ""
    assert "missing input; unknown x" in told["scripted@1/torchscript"]
    assert told["scripted@1/torchscript"].endswith(
        "; the golden inputs are those of linear@1: check scripted@1 by itself"
    )


def test_what_is_no_model_is_a_mistake_and_what_is_damaged_a_disagreement(shelf: Store) -> None:
    Path("README.md").write_text("# Models")
    Path("none.onnx").touch()
    Path("page.onnx").write_text("<html>not found</html>")
    for name in ("README.md", "none.onnx", "page.onnx"):
        with pytest.raises(UsageError, match=name):
            check.check(check.Request(("linear@1", name)), store=shelf.root)
    whole = shelf.resolve("linear@1").artifact("onnx").path.read_bytes()
    Path("cut.onnx").write_bytes(whole[:-20])
    report = check.check(check.Request(("linear@1", "cut.onnx")), store=shelf.root)
    told = {row.subject: row for row in report.rows}
    assert report.exit_code == 4
    assert told["cut.onnx"].verdict == "failed"
    assert told["linear@1/onnx"].ok, "the others are asked all the same"


@pytest.mark.parametrize("content", [b"", b"not found"])
def test_a_stored_file_that_is_no_model_any_more_is_not_what_was_published(
    shelf: Store, tmp_path: Path, content: bytes
) -> None:
    shutil.copytree(shelf.root / "linear" / "1", tmp_path / "store" / "linear" / "1")
    file = Store(tmp_path / "store").resolve("linear@1").artifact("onnx").path
    file.chmod(0o644)
    file.write_bytes(content)
    report = check.check(check.Request(("linear@1",)), store=tmp_path / "store")
    told = {row.subject: row.error for row in report.rows}
    assert report.exit_code == 4
    assert told["linear@1/onnx"].startswith("not what was published: onnx/linear.onnx is changed")


def test_what_is_named_twice_is_asked_once(shelf: Store) -> None:
    file = shelf.resolve("linear@1").artifact("onnx").path
    Path("copy.onnx").write_bytes(file.read_bytes())
    words = ("linear@1", "linear@1/onnx", "copy.onnx", "./copy.onnx", str(Path("copy.onnx").resolve()), "linear@1")
    report = check.check(check.Request(words), store=shelf.root)
    names = [row.subject for row in report.rows]
    assert names == list(dict.fromkeys(names))
    assert names.count("copy.onnx") == 1
    assert not [name for name in names if name.startswith("/")], "however it is written"


def test_an_artifact_is_named_as_reports_name_it(shelf: Store) -> None:
    found = subjects.find("linear@1/onnx", shelf)
    assert isinstance(found, subjects.Chosen)
    assert str(found) == "linear@1/onnx"
    report = check.check(check.Request(("linear@1/onnx",)), store=shelf.root)
    assert [row.subject for row in report.rows] == ["linear@1/onnx"]
    assert report.by == "golden outputs of linear@1"
    with pytest.raises(UsageError, match="linear@1 has no artifact 'onyx'"):
        subjects.find("linear@1/onyx", shelf)
    with pytest.raises(UsageError, match="is one artifact"):
        check.check(check.Request(("linear@1",), against="linear@1/onnx"), store=shelf.root)


def test_an_artifact_that_is_a_file_as_well_is_refused(shelf: Store) -> None:
    Path("linear@1").mkdir()
    Path("linear@1/model.onnx").touch()
    assert subjects.find("linear@1/model.onnx", shelf) == Path("linear@1/model.onnx"), "no artifact has that name"
    Path("linear@1/onnx").touch()
    with pytest.raises(UsageError, match="'linear@1/onnx' is a stored model, and a file") as raised:
        subjects.find("linear@1/onnx", shelf)
    assert raised.value.hint == "./linear@1/onnx is the file, linear@1/onnx the stored one"
