"""What a word on the command line means."""

from __future__ import annotations

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
