"""This Python: its version, and which extras of ours are whole. Nothing is imported to find out."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from deploy_toolkit.probes.finding import MISSING, OK, Finding

DISTRIBUTION = "deploy-toolkit"
LEAST = (3, 11)
# Packages that give the same modules.
_TWINS: Mapping[str, tuple[str, ...]] = {"onnxruntime": ("onnxruntime-gpu",), "tensorflow": ("tensorflow-cpu",)}
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^]]*\])?\s*(?:>=(?P<least>[\d.]+))?[^;]*(?:;.*extra\s*==\s*['\"](?P<extra>[\w-]+))?"
)


def interpreter() -> Finding:
    """Tell which Python this is."""
    facts = {"version": platform.python_version(), "path": sys.executable, "toolkit": version(DISTRIBUTION)}
    told = f"{facts['version']} in {sys.prefix}, {DISTRIBUTION} {facts['toolkit']}"
    if sys.version_info[:2] < LEAST:
        return Finding(MISSING, told, f"install Python {'.'.join(map(str, LEAST))} or later", facts)
    return Finding(OK, told, facts=facts)


def extras(stated: Iterable[str] | None = None) -> Finding:
    """Tell which packages of each extra are missing or too old; `stated` are requirements as the metadata has them."""
    lacks = {extra: lacking(names) for extra, names in by_extra(stated or requires(DISTRIBUTION) or ()).items()}
    broken = {extra: names for extra, names in lacks.items() if names}
    whole = ", ".join(extra for extra, names in lacks.items() if not names) or "none"
    if not broken:
        return Finding(OK, f"whole: {whole}", facts=lacks)
    told = "; ".join(f"{extra} lacks {', '.join(names)}" for extra, names in broken.items())
    return Finding(MISSING, f"{told}; whole: {whole}", f"pip install '{DISTRIBUTION}[{','.join(broken)}]'", lacks)


def by_extra(stated: Iterable[str]) -> dict[str, dict[str, str]]:
    """Give package → least version for every extra but `all`, which is the others together."""
    found: dict[str, dict[str, str]] = {}
    for match in filter(None, map(_REQUIREMENT.match, stated)):
        if match["extra"] and match["extra"] != "all" and match["name"] != DISTRIBUTION:
            found.setdefault(match["extra"], {})[match["name"]] = match["least"] or ""
    return found


def lacking(packages: Mapping[str, str]) -> list[str]:
    """Give those that are not installed, or older than the version that is asked for."""
    return [f"{name}>={least}" if least else name for name, least in packages.items() if not _has(name, least)]


def cuda_of_torch() -> str:
    """Give the CUDA version that the installed torch is built for; empty if it is for the CPU, or not there."""
    spec = find_spec("torch")
    source = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    match = re.search(r"^cuda\b[^=]*= '([\d.]+)'", source.read_text(), re.MULTILINE) if source else None
    return match[1] if match else ""


def has_package(name: str) -> bool:
    """Tell whether a package of that name is installed."""
    return _installed(name) is not None


def numbers(text: str) -> tuple[int, ...]:
    """Give the leading numbers of a version, to compare it by."""
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", text)[0])))  # type: ignore[index]  # it matches anything


def _has(name: str, least: str) -> bool:
    found = filter(None, map(_installed, (name, *_TWINS.get(name, ()))))
    return any(numbers(one) >= numbers(least) for one in found)


@cache
def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
