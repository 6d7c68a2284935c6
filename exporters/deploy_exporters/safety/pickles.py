"""Pickles: which Python objects reading one would call; it is not read, only its opcodes are."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deploy_exporters.safety import archive
from deploy_exporters.safety.danger import Danger, some

# What weights and tensors are made of. torch.load and torch.storage._load_from_bytes, which read further pickles, are not.
_SAFE = re.compile(
    r"""collections\.(OrderedDict|defaultdict)
    | (builtins|__builtin__)\.(set|frozenset|complex|bytearray|slice|range|list|dict|tuple|int|float|bool|str|bytes)
    | _codecs\.encode
    | torch\.(\w+Storage|Size|device|Tensor|finfo|iinfo|u?int\d+|b?float\d+\w*|complex\d+|bool|q\w*int\w+)
    | torch\.(per_(tensor|channel)\w*|\w+_format|channels_last\w*|strided|sparse_\w+|jagged|_mkldnn)
    | torch\._utils\._rebuild_\w+ | torch\._tensor\._rebuild_from_type_v2 | torch\.serialization\._get_layout
    | torch\.(storage\.(Untyped|Typed)Storage|nn\.parameter\.(Parameter|Buffer)|nn\.modules\.container\.ParameterDict)
    | torch\.jit\._pickle\.\w+ | __torch__\..+
    | numpy\.(dtype|ndarray) | numpy\.(core|_core)\.multiarray\.(_reconstruct|scalar) | numpy\.dtypes\.\w+""",
    re.VERBOSE,
)
_INSTEAD = "save the model as TorchScript or .pt2, or name it as FILE.py:ATTRIBUTE"
_RAW = re.compile(r"(^|/)(data|constants)/(\d+|(weights/weight|constants/tensor)_\d+)$")
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PICKLES = 5  # how many of them an old torch file begins with; raw bytes follow
_DAMAGED = "what cannot be told, because it is damaged"


def dangers(path: Path) -> Iterator[Danger]:
    """Give what reading a pickled model, with or without its archive, would run; weights alone run nothing."""
    # torch goes by the first bytes: a pickle with an archive behind it is read as a pickle.
    if path.read_bytes()[:4] == b"PK\3\4":
        with zipfile.ZipFile(path) as opened:
            yield from archive.dangers(opened)
            yield from entries(opened)
    else:
        yield from of(path.name, path.read_bytes())


def entries(opened: zipfile.ZipFile, pickled: Iterable[str] = ()) -> Iterator[Danger]:
    """Give what the pickles in an archive would run, and those in archives inside it; `pickled` are names of some."""
    known = set(pickled)
    for entry in opened.infolist():
        with opened.open(entry) as file:
            head = file.read(4)
        if entry.filename in known or _is_pickle(entry.filename, head):
            yield from of(entry.filename, opened.read(entry))


def of(where: str, body: bytes) -> Iterator[Danger]:
    """Give what reading these bytes as torch or Python read a pickle would run."""
    if body[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(body)) as inner:
            yield from archive.dangers(inner)
            yield from entries(inner)
        return
    wrong = [name for name in _globals(body) if not _SAFE.fullmatch(name)]
    if wrong:
        yield Danger(f"{where} is a pickle, and reading it runs {some(wrong)}", _INSTEAD)


def is_pickle(path: Path) -> bool:
    """Tell whether a file that is no archive is a pickle."""
    with path.open("rb") as file:
        if file.read(1) == b"\x80":
            return True
        file.seek(0)
        try:
            return any(code.name == "STOP" for code, _, _ in pickletools.genops(file))
        except ValueError:
            return False


def _is_pickle(name: str, head: bytes) -> bool:
    if _RAW.search(name):
        return False
    last = name.rpartition("/")[2]
    named = last.endswith(("pkl", ".pt", ".pickle")) or last.startswith(("opaque_obj", "custom_obj"))
    return named or head[:4] == b"PK\3\4" or (head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"))


def _globals(body: bytes) -> Iterator[str]:
    """Give every `module.name` that a pickle imports, and those of an old torch file."""
    file = io.BytesIO(body)
    try:
        numbers = [arg for code, arg, _ in pickletools.genops(body[:64]) if code.name == "LONG1"]
    except ValueError:
        numbers = []
    for _ in range(_TORCH_PICKLES if _TORCH_MAGIC in numbers else 1):
        try:
            yield from _of_one(file)
        except ValueError:
            yield _DAMAGED


def _of_one(file: io.BytesIO) -> Iterator[str]:
    memo: dict[int, Any] = {}
    top: list[Any] = [None, None]  # the last two things pushed, where they are strings and nothing came after
    for code, arg, _ in pickletools.genops(file):
        if code.name in ("GLOBAL", "INST"):
            yield str(arg).replace(" ", ".", 1)
        elif code.name == "STACK_GLOBAL":
            yield f"{top[0]}.{top[1]}" if None not in top else "what it computes"
        elif code.name.startswith("EXT"):
            yield f"the registered extension {arg}"
        top = _pushed(code.name, arg, top, memo)


def _pushed(name: str, arg: Any, top: list[Any], memo: dict[int, Any]) -> list[Any]:
    if name == "MEMOIZE" or name.endswith("PUT"):
        memo[len(memo) if arg is None else arg] = top[1]
        return top
    if name.endswith("GET"):
        return [top[1], memo.get(arg)]
    if isinstance(arg, str) and ("UNICODE" in name or "STRING" in name):
        return [top[1], arg]
    return top if name in ("FRAME", "PROTO") else [None, None]
