"""Docker and Podman: whether they answer, what they can give a container, and which images they have."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from deploy_core.errors import UnavailableError
from deploy_servers.causes import likely_cause
from deploy_toolkit.probes.finding import MISSING, OK, SECONDS, WARNING, Finding, ask

CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
TOOLKIT_HINT: Mapping[str, str] = {
    "docker": "install the NVIDIA Container Toolkit; nvidia-ctk runtime configure --runtime=docker; restart Docker",
    "podman": "install the NVIDIA Container Toolkit; nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
}
_CUDA = re.compile(r"^(?:NVIDIA_REQUIRE_CUDA=.*?cuda>=|CUDA_VERSION=)(\d+\.\d+)")


def engine(name: str, images: Sequence[str]) -> Finding:
    """Tell of one engine, and which of the images it has."""
    path = shutil.which(name)
    if path is None:
        return Finding(MISSING, "not installed", "--in container needs Docker or Podman")
    end = monotonic() + SECONDS
    said = ask(path, "info", "--format", "{{json .}}")
    info = _read(said.out)
    version = info.get("ServerVersion") or info.get("version", {}).get("Version", "")
    if said.code or not version:
        why = "; ".join(info.get("ServerErrors") or ()) or said.last
        hint = likely_cause(why) or f"`{name} info` says why; start its service"
        return Finding(MISSING, f"{path} is there, but its engine does not answer: {why}", hint, {"path": path})
    facts = {"path": path, "version": version, "rootless": _rootless(info), "gpus": _gpus(name, info)}
    told = f"{version}{', rootless' if facts['rootless'] else ''}"
    told += f", GPUs by {facts['gpus']}" if facts["gpus"] else ", no NVIDIA Container Toolkit"
    try:
        found = images_of(path, images, seconds=max(0.5, end - monotonic()))
    except UnavailableError as error:
        return Finding(WARNING, f"{told}; its images could not be listed: {error}", error.hint, {**facts, "images": {}})
    told += f"; images {', '.join(found)}" if found else "; none of our servers' images"
    return Finding(OK, told, facts={**facts, "images": found})


def images_of(path: str, images: Sequence[str], *, seconds: float) -> dict[str, str]:
    """Give those of the images that are there, each with the CUDA version that it says it wants, empty if none."""
    said = ask(
        path, "image", "inspect", "--format", "{{json .RepoTags}}\t{{json .Config.Env}}", *images, seconds=seconds
    )
    found = {}
    for line in said.out.splitlines():
        tags, tab, env = line.partition("\t")
        if tab:
            here = [one for one in images if any(_is(tag, one) for tag in json.loads(tags) or ())]
            found.update(dict.fromkeys(here, _cuda(json.loads(env) or ())))
    return {image: found[image] for image in images if image in found}


def _is(tag: str, image: str) -> bool:
    # Podman puts a host in front.
    return tag == image or tag.endswith(f"/{image}")


def _cuda(env: Iterable[str]) -> str:
    return next((match[1] for match in map(_CUDA.match, sorted(env, reverse=True)) if match), "")


def _read(text: str) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


def _rootless(info: Mapping[str, Any]) -> bool:
    security = info.get("host", {}).get("security", {})
    return bool(security.get("rootless")) or any("rootless" in option for option in info.get("SecurityOptions") or ())


def _gpus(name: str, info: Mapping[str, Any]) -> str:
    """Say how it would give a container a GPU, empty if it cannot."""
    if name == "docker" and ("nvidia" in (info.get("Runtimes") or {}) or shutil.which("nvidia-container-runtime-hook")):
        return "the nvidia runtime"
    return "CDI" if any(map(_names_gpus, _specifications())) else ""


def _specifications() -> list[Path]:
    return [path for folder in CDI_FOLDERS if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_file()]


def _names_gpus(path: Path) -> bool:
    return path.suffix in (".json", ".yaml", ".yml") and "nvidia.com/gpu" in path.read_text(errors="replace")
