"""Names of places in a model as different formats write them."""

from __future__ import annotations

import re

from deploy_core.predictor import Intermediate

_SPLIT = re.compile(r"[./:;\\]+")


def same(one: Intermediate, other: Intermediate) -> bool:
    """Tell whether two tensors bear the name of the same place: `features.1`, `/features/features.1/Conv`, `features_1/add`.

    The one may have outer scopes that the other has not.
    """
    if one.layer and other.layer:
        mine, theirs = _parts(one.layer), _parts(other.layer)
        return _ends(mine, theirs) or _ends(theirs, mine)
    if one.layer or other.layer:
        layer, path = (one.layer, other.name) if one.layer else (other.layer, one.name)
        return _plain(layer) in _runs(_parts(path)[:-1])
    return _plain(one.name) == _plain(other.name)


def place(one: Intermediate) -> str:
    """Give what people call the place of a tensor: its layer, else its own name."""
    return one.layer or one.name


def _ends(whole: list[str], tail: list[str]) -> bool:
    joined = "_".join(tail)
    return any("_".join(whole[start:]) == joined for start in range(len(whole)))


def _runs(parts: list[str]) -> set[str]:
    return {"_".join(parts[start:end]) for start in range(len(parts)) for end in range(start + 1, len(parts) + 1)}


def _parts(name: str) -> list[str]:
    return [plain for part in _SPLIT.split(name) if (plain := _plain(part))]


def _plain(name: str) -> str:
    return re.sub(r"_+", "_", re.sub(r"[^0-9a-z]+", "_", name.lower())).strip("_")
