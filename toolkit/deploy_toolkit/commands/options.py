"""How option values are read: lists, `FORMAT.OPTION=V`, shares, ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deploy_core.errors import UsageError

_SECONDS = {"ms": 1e-3, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def names(text: str | None) -> tuple[str, ...]:
    """Read `a,b,c`."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def settings(values: Iterable[str]) -> dict[str, str]:
    """Read `OPTION=V` each. Raises UsageError."""
    found = {}
    for value in values:
        key, sep, setting = value.partition("=")
        if not sep or not key:
            raise UsageError(f"--set {value!r} has no value", hint="write --set OPTION=VALUE")
        found[key] = setting
    return found


def format_settings(values: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read `FORMAT.OPTION=V` each. Raises UsageError."""
    found: dict[str, dict[str, str]] = {}
    for key, value in settings(values).items():
        format_name, dot, option = key.partition(".")
        if not dot:
            raise UsageError(f"--set {key}={value} names no format", hint=f"write --set FORMAT.{key}={value}")
        found.setdefault(format_name, {})[option] = value
    return found


def archive_settings(handler: str | None, extra_files: str | None, requirements: str | None) -> Iterator[str]:
    """Give what the options for TorchServe archives stand for."""
    for option, value in (("handler", handler), ("extra-files", extra_files), ("requirements", requirements)):
        if value:
            yield f"mar.{option}={value}"


def share(text: str) -> float:
    """Read `1%` or `0.01` as 0.01. Raises UsageError."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{text!r} is no share", hint="write it as 1% or 0.01")
    return value


def ranges(values: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Read `SYMBOL=LEAST..GREATEST` each. Raises UsageError."""
    found = {}
    for value in values:
        symbol, _, sizes = value.partition("=")
        least, dots, greatest = sizes.partition("..")
        if not (symbol and dots and least.isdigit() and greatest.isdigit() and 0 < int(least) <= int(greatest)):
            raise UsageError(
                f"--range {value!r} is no range", hint="write --range SYMBOL=LEAST..GREATEST, e.g. seq=1..512"
            )
        found[symbol] = (int(least), int(greatest))
    return found


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Read `1,8,32`, each at least 1. Raises UsageError."""
    parts = names(text)
    if not parts or not all(part.isdigit() and int(part) for part in parts):
        raise UsageError(f"{option} {text!r} are no numbers from 1 on", hint=f"write {option} 1,8,32")
    return tuple(int(part) for part in parts)


def duration(option: str, text: str) -> float:
    """Read `500ms`, `20s`, `2m` or plain seconds as seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h|)", text.strip())
    if match is None:
        raise UsageError(f"{option} {text!r} is no duration", hint=f"write {option} 20s, 500ms or 2m")
    return float(match[1]) * _SECONDS[match[2]]
