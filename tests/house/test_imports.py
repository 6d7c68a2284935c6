"""Imports run one way, and nothing heavy is imported before it is used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_toolkit.cli import COMMANDS

ROOT = Path(__file__).parents[2]
_MODULE = re.compile(r"deploy_\w+(\.\w+)+(:\w+)?")
ROOMS = {
    "core": set(),
    "model_store": {"core"},
    "exporters": {"core"},
    "dialects": {"core"},
    "agreement": {"core"},
    "clients": {"core", "dialects"},
    "latency": {"core", "dialects", "clients"},
    "servers": {"core", "dialects", "clients", "exporters", "model_store"},
    "toolkit": {"core", "dialects", "clients", "exporters", "model_store", "servers", "agreement", "latency"},
}
HEAVY = (
    *("torch", "tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert", "tf2onnx", "grpc", "google.protobuf"),
    *("httptools", "hpack", "uvloop"),
)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports deploy_{other}"
        for path in (ROOT / room).rglob("*.py")
        for other in _imported_rooms(path)
        if other != room and other not in ROOMS[room]
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_imports_are_absolute(room: str) -> None:
    relative = [
        str(path)
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_agreement_knows_no_framework() -> None:
    used = {
        name
        for path in (ROOT / "agreement").rglob("*.py")
        for name in _imported(path)
        if name.partition(".")[0] in HEAVY
    }
    assert not used


@pytest.mark.parametrize(
    "code",
    [
        "import deploy_toolkit",
        "from deploy_toolkit import check, connect, export, predict, serve",
        "from deploy_toolkit.cli import deploy; deploy.main(['--help'], standalone_mode=False)",
        *(
            f"from deploy_toolkit.cli import deploy; deploy.main(['{name}', '--help'], standalone_mode=False)"
            for name in COMMANDS
        ),
    ],
)
def test_no_framework_is_loaded(code: str) -> None:
    look = f"import sys; {code}; print(' '.join(n for n in {HEAVY!r} if n in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def _imported_rooms(path: Path) -> set[str]:
    roots = {name.partition(".")[0] for name in _imported(path)}
    return {root.removeprefix("deploy_") for root in roots if root.removeprefix("deploy_") in ROOMS}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODULE.fullmatch(node.value):
            names.add(node.value.partition(":")[0])  # tables name modules by strings
    return names
