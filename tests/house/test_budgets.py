"""What lint cannot hold: the length of files, the names of modules, and words that nobody else would understand."""

from __future__ import annotations

import inspect
from pathlib import Path

import deploy_toolkit

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "dialects", "model_store", "exporters", "agreement", "clients", "latency", "servers", "toolkit")
SOURCES = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]


def test_files_stay_under_300_lines() -> None:
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := path.read_text().count("\n")) > 300}
    assert not long


def test_no_module_is_named_after_nothing() -> None:
    assert not [path for path in SOURCES if path.stem in {"utils", "helpers", "common", "manager", "misc"}]


def test_no_submodule_has_the_name_of_a_public_function() -> None:
    modules = {
        path.stem for path in (ROOT / "toolkit/deploy_toolkit").iterdir() if path.suffix == ".py" or path.is_dir()
    }
    assert not modules & set(deploy_toolkit.__all__)


def test_public_names_are_still_no_modules_when_asked_for_again() -> None:
    for _ in range(2):
        for name in deploy_toolkit.__all__:
            found = getattr(deploy_toolkit, name)
            assert inspect.isfunction(found) or inspect.isclass(found), name
