"""Which versions of which models TensorFlow Serving's files ask for, and where they lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_core.errors import UnavailableError, UsageError
from deploy_dialects.malformed import Malformed
from deploy_dialects.tfserving.files import read_file

_NUMBER = re.compile(r"[0-9]{1,19}")  # leading zeros are allowed there
_GREATEST = 2**63 - 1
_PLATFORM = "tensorflow"
_OLD_TYPE = 1  # model_type: TENSORFLOW, from before there was model_platform


@dataclass(frozen=True)
class Policy:
    """Which of the versions that are there are served: the `latest` so many, those that are named, else all."""

    latest: int = 0
    specific: tuple[int, ...] = ()

    def choose(self, there: Iterable[int]) -> tuple[int, ...]:
        """Give the versions to serve, oldest first."""
        versions = sorted(there)
        if self.specific:
            return tuple(version for version in versions if version in self.specific)
        return tuple(versions[-self.latest :])


@dataclass(frozen=True)
class Wanted:
    """One model to be served from the folders of its versions below `base_path`."""

    name: str
    base_path: Path
    policy: Policy = field(default_factory=lambda: Policy(latest=1))
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """The versions below a base path, and what there is besides, each with the reason why it is none."""

    versions: Mapping[int, Path]
    strange: Mapping[str, str]


def read_models(path: Path) -> tuple[Wanted, ...]:
    """Read a models.config. Raises UsageError for what TensorFlow Serving refuses, with its words."""
    return wanted_of(text_file("models", path))


def text_file(kind: str, path: Path) -> Any:
    """Read a file of protocol-buffer text. Raises UsageError."""
    try:
        return read_file(kind, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Malformed) as error:
        raise UsageError(f"{path}: {error}", hint="TensorFlow Serving would not start with this file either") from error


def wanted_of(config: Any) -> tuple[Wanted, ...]:
    """Give what a ModelServerConfig asks for. Raises UsageError."""
    if config.HasField("custom_model_config"):
        raise UsageError("custom_model_config is not supported", hint="use model_config_list")
    found: dict[str, Wanted] = {}
    for model in config.model_config_list.config:
        if model.name in found:
            raise UsageError(
                f"Illegal to list model {model.name} multiple times in config list", hint="give each model one config"
            )
        found[model.name] = _wanted(model)
    return tuple(found.values())


def look(base_path: Path) -> Found:
    """Look for versions: folders whose name is a whole number, and which lie where they seem to. Raises UnavailableError."""
    versions: dict[int, Path] = {}
    strange = {}
    try:
        entries = sorted(base_path.iterdir()) if base_path.is_dir() else []
    except OSError as error:
        raise UnavailableError(f"the base path cannot be looked at: {error}", hint="may this user read it?") from error
    for folder in entries:
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        why = _strange(folder, base_path) or (int(folder.name) in versions and "another folder is this version")
        if why:
            strange[folder.name] = str(why)
        else:
            versions[int(folder.name)] = folder
    return Found(versions, strange)


def _strange(folder: Path, base_path: Path) -> str:
    if not _NUMBER.fullmatch(folder.name) or int(folder.name) > _GREATEST:
        return "its name is no whole number"
    return "" if folder.resolve().is_relative_to(base_path.resolve()) else "it leads out of the base path"


def _wanted(model: Any) -> Wanted:
    if not model.name:
        raise UsageError("a model in the config list has no name", hint="give it a name")
    if not model.base_path.startswith("/"):
        raise UsageError(
            f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}",
            hint="write the path from / on",
        )
    _check_platform(model)
    return Wanted(model.name, Path(model.base_path), _policy(model), _labels(model))


def _check_platform(model: Any) -> None:
    both, neither = bool(model.model_type and model.model_platform), not (model.model_type or model.model_platform)
    if both or neither:
        raise UsageError(
            f"Illegal setting {'both' if both else 'neither'} of model_type (deprecated) and model_platform "
            f"for model {model.name}",
            hint='write model_platform: "tensorflow"',
        )
    if model.model_platform not in ("", _PLATFORM) or model.model_type not in (0, _OLD_TYPE):
        raise UsageError(
            f"Model {model.name} requests unsupported platform {model.model_platform or model.model_type}",
            hint='the only one is "tensorflow"',
        )


def _policy(model: Any) -> Policy:
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return Policy()
    if kind != "specific":
        return Policy(latest=max(1, policy.latest.num_versions))
    versions = tuple(policy.specific.versions)
    if not versions or min(versions) < 0:
        raise UsageError(
            f"model {model.name} has the specific versions {list(versions)}", hint="name at least one, from 0 on"
        )
    return Policy(specific=versions)


def _labels(model: Any) -> dict[str, int]:
    labels = dict(model.version_labels)
    if "" in labels:
        raise UsageError(f"model {model.name} has a version label without a name", hint="give it a key")
    return labels
