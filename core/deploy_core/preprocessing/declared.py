"""Steps as a user writes them, to steps in their one form; with errors for people."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from deploy_core.dtypes import numpy_dtype
from deploy_core.errors import UsageError
from deploy_core.preprocessing.resizing import LIBRARIES, PILLOW
from deploy_core.preprocessing.running import factor

FILTERS: Mapping[str, tuple[str, ...]] = {
    "pillow": tuple(PILLOW),
    **{library: tuple(name for name in names if " " not in name) for library, names in LIBRARIES.items()},
}
_SMOOTHED = ("bilinear", "bicubic", "lanczos3", "lanczos5")  # where torch and TensorFlow have antialias
_PIXEL_STEPS = ("decode", "color", "resize", "center_crop", "pad")
_TEXT_STEPS = ("text", "tokens")
Check = Callable[[Any], Any]


class _Wrong(ValueError):  # noqa: N818  reads as what it says of a value
    """A value that a step cannot have; the text ends a sentence that names the step."""


def read(path: Path) -> tuple[tuple[dict[str, Any], ...], str]:
    """Read a TOML or JSON file: its steps, and the input that they make, "" if it does not say. Raises UsageError."""
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="write TOML with [[steps]], or a JSON list") from error
    return parsed(document, str(path))


def parsed(document: object, where: str) -> tuple[tuple[dict[str, Any], ...], str]:
    """Check a list of steps, or a table with `steps` and `input`; give the steps in their one form, and the input."""
    table = {"steps": document} if isinstance(document, list | tuple) else document
    if not isinstance(table, Mapping) or not isinstance(table.get("steps"), list | tuple) or not table["steps"]:
        raise UsageError(
            f"{where} has no steps", hint='write them as [[steps]] tables, each with step = "decode" or so'
        )
    if further := set(table) - {"steps", "input"}:
        raise UsageError(f"{where}: {sorted(further)[0]!r} is not known", hint="there are steps, and input")
    steps = tuple(_step(step, f"{where}: step {index}") for index, step in enumerate(table["steps"], 1))
    _check_order([step["step"] for step in steps], where)
    return steps, str(table.get("input", ""))


def _step(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping) or given.get("step") not in FIELDS:
        name = given.get("step") if isinstance(given, Mapping) else given
        close = get_close_matches(str(name), FIELDS, 1)
        hint = f"do you mean {close[0]!r}?" if close else f"steps are {', '.join(FIELDS)}"
        raise UsageError(f"{where} is {name!r}, which is no step", hint=hint)
    kind = given["step"]
    fields = FIELDS[kind]
    if unknown := [key for key in given if key != "step" and key not in fields]:
        raise UsageError(f"{where}, {kind}, has no {unknown[0]!r}", hint=f"it has {', '.join(fields) or 'no options'}")
    step = {"step": kind}
    for key, (check, default) in fields.items():
        if key not in given and default is REQUIRED:
            raise UsageError(f"{where}, {kind}, lacks {key!r}", hint=f"it has {', '.join(fields)}")
        value = given.get(key, default)
        if value is not None:
            step[key] = _value(check, value, f"{where}, {kind}: {key}")
    try:
        return CHECKS.get(kind, _as_it_is)(step)
    except _Wrong as error:
        raise UsageError(f"{where}, {kind}: {error}") from None


def _value(check: Check, value: Any, where: str) -> Any:
    try:
        return check(value)
    except (_Wrong, ValueError, TypeError, ZeroDivisionError) as error:
        told = str(error) if isinstance(error, _Wrong) else "which it cannot be"
        raise UsageError(f"{where} is {value!r}, {told}") from None


def _check_order(kinds: Sequence[str], where: str) -> None:
    # A layout moves the channels, and what works on pixels has to come before it.
    for later in ("layout", "batch", "scale", "normalize"):
        pixels = ("decode",) if later in ("scale", "normalize") else _PIXEL_STEPS
        begun = kinds.index(later) if later in kinds else len(kinds)
        if late := [kind for kind in kinds[begun:] if kind in pixels]:
            raise UsageError(f"{where}: {late[0]} comes after {later}", hint=f"put it before {later}")
    for once in ("decode", "layout", "batch"):
        if kinds.count(once) > 1:
            raise UsageError(f"{where}: {once} comes twice", hint="once is enough")
    if kinds[0] not in ("decode", "text"):
        raise UsageError(
            f"{where}: the first step is {kinds[0]}", hint="bytes begin with decode (images, .npy) or text"
        )
    if strange := [kind for kind in kinds if kind in _TEXT_STEPS and kinds[0] != "text"]:
        raise UsageError(f"{where}: {strange[0]} is for text", hint="begin with text instead of decode")


def _one_of(*known: str) -> Check:
    def check(value: Any) -> Any:
        if value not in known:
            raise _Wrong(f"not one of {', '.join(known)}")
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("not true or false")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 16:
        raise _Wrong("not a whole number from 1 on")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise _Wrong("not a whole number")
    return value


def _pair(value: Any) -> list[int]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return [_count(size) for size in value]
    if type(value) is int:
        return [_count(value)] * 2
    raise _Wrong("not [height, width], nor one number for both")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise _Wrong("not a number")
    return value


def _by(value: Any) -> float | str:
    if not isinstance(value, str):
        return _number(value)
    over, under = factor(value)
    if not over or not under:
        raise _Wrong('not a number, nor text such as "1/255"')
    return value


def _numbers(value: Any) -> float | list[float]:
    if isinstance(value, list | tuple) and value:
        return [_number(each) for each in value]
    return _number(value)


def _dtype(value: Any) -> str:
    try:
        kind: str = numpy_dtype(str(value)).kind
    except UsageError:
        kind = ""
    if kind not in ("i", "u", "f"):
        raise _Wrong("not a dtype of numbers such as float32 or uint8")
    return str(value)


def _words(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(word, str) for word in value):
        raise _Wrong("not a list of words")
    return list(value)


REQUIRED = object()
_SIZE = (_pair, REQUIRED)
FIELDS: Mapping[str, Mapping[str, tuple[Check, Any]]] = {
    "decode": {"exif": (_flag, False)},
    "color": {"to": (_one_of("rgb", "bgr", "grey"), REQUIRED)},
    "resize": {
        "as": (_one_of(*FILTERS), REQUIRED),
        "filter": (str, REQUIRED),
        "size": (_pair, None),
        "shorter": (_count, None),
        "longer": (_count, None),
        "antialias": (_flag, None),
        "align_corners": (_flag, None),
    },
    "center_crop": {"size": _SIZE, "as": (_one_of("torch", "tensorflow"), "torch")},
    "pad": {"to": _SIZE, "side": (_one_of("end", "begin", "both"), "end"), "value": (_number, 0)},
    "scale": {"by": (_by, REQUIRED), "add": (_number, 0)},
    "normalize": {"mean": (_numbers, REQUIRED), "std": (_numbers, REQUIRED)},
    "layout": {"to": (_one_of("CHW", "HWC"), REQUIRED)},
    "dtype": {"to": (_dtype, REQUIRED)},
    "batch": {},
    "text": {"lower": (_flag, False), "strip": (_flag, False)},
    "tokens": {
        "table": (_words, REQUIRED),
        "length": (_count, REQUIRED),
        "unknown": (_whole, REQUIRED),
        "pad": (_whole, 0),
    },
}


def _resize(step: dict[str, Any]) -> dict[str, Any]:
    library, name = step["as"], step["filter"]
    if name not in FILTERS[library]:
        raise _Wrong(f"{library} has no filter {name!r}; it has {', '.join(FILTERS[library])}")
    if len({"size", "shorter", "longer"} & set(step)) != 1:
        raise _Wrong("give one of size = [height, width], shorter = N, longer = N")
    may_smooth = library in ("torch", "tensorflow") and name in _SMOOTHED
    always = library == "pillow" and name != "nearest"
    if step.get("antialias", always) != always and not may_smooth:
        raise _Wrong(f"{library}'s {name} {'always' if always else 'never'} smooths; leave antialias out")
    if step.get("align_corners") and (library not in ("torch", "tensorflow1") or name not in ("bilinear", "bicubic")):
        raise _Wrong(f"{library}'s {name} has no align_corners; torch and tensorflow1 have it, bilinear and bicubic")
    if step.get("align_corners") and step.get("antialias"):
        raise _Wrong("antialias and align_corners do not go together here")
    shown = {"antialias": may_smooth and bool(step.get("antialias"))}
    shown["align_corners"] = bool(step.get("align_corners"))
    return {key: value for key, value in step.items() if key not in shown} | {k: True for k, on in shown.items() if on}


def _normalize(step: dict[str, Any]) -> dict[str, Any]:
    mean, std = step["mean"], step["std"]
    if isinstance(mean, list) and isinstance(std, list) and len(mean) != len(std):
        raise _Wrong(f"mean has {len(mean)} numbers, std {len(std)}")
    if 0 in (std if isinstance(std, list) else [std]):
        raise _Wrong("std is 0")
    return step


def _as_it_is(step: dict[str, Any]) -> dict[str, Any]:
    return step


CHECKS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"resize": _resize, "normalize": _normalize}
