"""`deploy store alias` and `deploy store ls`, also where a file of the store is damaged."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tfserving_store import fill_pretended

from deploy_model_store import Store
from deploy_toolkit.cli import _exit_code


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill_pretended(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def said(store: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `deploy store …` in this process; give the exit code, and what it printed."""

    def run(*args: str) -> tuple[int, str, str]:
        code = _exit_code(["store", *args, "--store", str(store)], debug=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def document(text: str, schema: str) -> Any:
    found = json.loads(text)
    kept = json.loads(files("deploy_toolkit.reports").joinpath("schemas", f"{schema}.json").read_text())
    Draft202012Validator(kept).validate(found)
    return found


def test_aliases_are_set_moved_listed_and_removed(said: Any, store: Path) -> None:
    assert said("alias", "linear", "canary", "3")[1] == "linear@canary is now linear@3\n"
    assert said("alias", "linear@1", "canary")[1] == "linear@canary is now linear@1\n"
    assert said("alias", "linear", "newest")[1] == "linear@newest is now linear@3\n"
    assert said("alias", "linear")[1].splitlines() == [
        "linear@canary is linear@1",
        "linear@newest is linear@3",
        "linear@stable is linear@2",
    ]
    assert said("alias", "other")[1] == "there are no aliases\n"
    code, out, _ = said("alias", "linear", "canary", "--remove", "--json")
    assert (code, document(out, "aliases-1")["aliases"][0]) == (0, {"name": "linear", "alias": "newest", "version": 3})
    assert Store(store).aliases("linear") == {"newest": 3, "stable": 2}
    assert len(document(said("alias", "--json")[1], "aliases-1")["aliases"]) == 2
    listed = document(said("ls", "--json")[1], "store-1")
    assert [(row["version"], row["aliases"]) for row in listed["versions"] if row["name"] == "linear"] == [
        (1, []),
        (2, ["stable"]),
        (3, ["newest"]),
    ]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("linear", "x", "9"), "its versions: 1, 2, 3"),
        (("linear@2", "x", "3"), "NAME ALIAS VERSION"),
        (("linear", "5"), "begin with a letter"),
        (("linear", "../x"), "begin with a letter"),
        (("linear", "x", "--remove"), "its aliases: stable"),
        (("linear", "--remove"), "--remove"),
        (("linear", "x", "y"), "not a valid integer"),
        (("absent", "x"), "it holds: linear, other"),
    ],
)
def test_what_cannot_be_an_alias_is_refused(said: Any, store: Path, args: tuple[str, ...], hint: str) -> None:
    code, _, err = said("alias", *args)
    assert code == 2
    assert hint in err
    assert Store(store).aliases("linear") == {"stable": 2}


def test_one_damaged_manifest_hides_nothing_else(said: Any, store: Path) -> None:
    manifest = store / "linear" / "2" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")
    (store / "other" / "aliases.json").write_text('{"stable": "one"}')
    code, out, _ = said("ls", "--json")
    listed = document(out, "store-1")
    assert code == 4
    assert [(row["name"], row["version"]) for row in listed["versions"]] == [("linear", 1), ("linear", 3), ("other", 1)]
    assert [row["what"] for row in listed["damaged"]] == ["linear@2", "other"]
    code, out, _ = said("ls")
    assert code == 4
    assert "linear@2 is damaged" in out
    assert "aliases.json holds no aliases" in out


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"stable": "1"}', '{"stable": true}', "\xff"])
def test_damaged_aliases_are_told_with_what_to_do(said: Any, store: Path, text: str) -> None:
    (store / "linear" / "aliases.json").write_text(text, encoding="latin-1")
    for args in (("alias", "linear"), ("show", "linear@stable"), ("alias", "linear", "x", "1")):
        code, _, err = said(*args)
        assert code == 4
        assert "aliases.json" in err
        assert "set the aliases again" in err
    assert said("show", "linear@1")[0] == 0, "a number needs no aliases"
