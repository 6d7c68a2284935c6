"""Files from outside, looked at before a framework reads them: what in them would run code or touch other files.

A check is a module with `dangers(path) -> Iterator[Danger]`; none of them runs or unpacks what it looks at.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from deploy_core.errors import DeployError, UnsafeError, UsageError, first_line
from deploy_exporters.safety.danger import TRUST, Danger

__all__ = ["CHECKS", "require_safe"]

_HERE = "deploy_exporters.safety"
# A format that is not here holds no code that its runtime would run.
CHECKS: Mapping[str, str] = {
    "pickle": f"{_HERE}.pickles",
    "torchscript": f"{_HERE}.torchscript",
    "pt2": f"{_HERE}.pt2",
    "mar": f"{_HERE}.mar",
    "keras": f"{_HERE}.keras",
    "savedmodel": f"{_HERE}.savedmodel",
    "onnx": f"{_HERE}.onnx",
    "npz": f"{_HERE}.npz",
}


def require_safe(path: Path, format_: str, *, trust: bool = False) -> tuple[str, ...]:
    """Raise UnsafeError for a file that would do more than compute; give what is trusted in it, for the manifest.

    Raises UsageError for a file that cannot be read at all. With `trust` only what no model needs is refused.
    """
    if format_ not in CHECKS:
        return ()
    found = _dangers(path, format_)
    refused = [danger for danger in found if not (trust and danger.trustable)]
    if refused:
        hints = dict.fromkeys(danger.hint for danger in refused if danger.hint)
        flag = {TRUST: None} if all(danger.trustable for danger in refused) else {}
        reasons = "; ".join(dict.fromkeys(danger.what for danger in refused[:3]))
        raise UnsafeError(f"{path} is refused: {reasons}", hint="; ".join({**hints, **flag}))
    return tuple(f"trusted: {danger.what}" for danger in found)


def _dangers(path: Path, format_: str) -> tuple[Danger, ...]:
    try:
        return tuple(import_module(CHECKS[format_]).dangers(path))
    except (DeployError, FileNotFoundError):
        raise
    except Exception as error:
        # What cannot be looked at is not opened: its framework might read it another way.
        raise UsageError(
            f"{path} cannot be read as {format_}: {first_line(error)}", hint="it may be truncated; write it again"
        ) from error
