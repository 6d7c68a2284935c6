"""torch.export archives: pickles, compiled libraries, and text that torch evaluates as Python."""

from __future__ import annotations

import ast
import json
import operator
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy_exporters.safety import archive, pickles
from deploy_exporters.safety.danger import Danger, some

_OPERATORS = set(dir(operator)) - {"attrgetter", "methodcaller", "itemgetter", "call"}
_TARGET = re.compile(r"torch\.ops(\.\w+)+|torch\._?sym_\w+|math\.\w+|_operator\.\w+|#\w+:\w+")
_FILE = re.compile(r"torch\.ops\.aten\.(save|from_file)\b")
# Names become variables of the Python code that torch makes of the graph: nothing in them may call or assign.
_NAME = re.compile(r"[\w.\-:\[\]<>/$ ]*")
_NAMES = {"name", "forward_arg_names", "fqn", "class_fqn", "parameter_name", "buffer_name", "tensor_constant_name"}
_FACTORY = re.compile(r'default_factory_module|"__enum__')
_FUNCTION = re.compile(r"[A-Z]\w*|floor|ceiling|sqrt|log|exp|min|max|abs|size|stride|storage_offset|pow")
_ALLOWED = (
    ast.Expression, ast.Constant, ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.BoolOp,
    ast.Compare, ast.IfExp, ast.Tuple, ast.keyword, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip
_INSTEAD = "export the model again with torch.export, from FILE.py:ATTRIBUTE"


def dangers(path: Path) -> Iterator[Danger]:
    """Give what loading or running a .pt2 file would do besides computing."""
    with zipfile.ZipFile(path) as opened:
        yield from archive.dangers(opened)
        pickled: list[str] = []
        for name in opened.namelist():
            if "/aotinductor/" in name or name.endswith((".so", ".o", ".cpp", ".pyd", ".dll", ".dylib")):
                yield Danger(f"{name} is compiled code", _INSTEAD)
            elif name.endswith(".json"):
                document = json.loads(opened.read(name))
                pickled += _pickled(name, document)
                yield from _document(name, document)
        yield from pickles.entries(opened, pickled)


def _pickled(name: str, document: Any) -> Iterator[str]:
    folder = name.rpartition("/")[0]
    config = document.get("config", {}) if isinstance(document, dict) else {}
    for payload in config.values() if isinstance(config, dict) else ():
        if isinstance(payload, dict) and payload.get("use_pickle"):
            yield f"{folder}/{payload.get('path_name')}"


def _document(name: str, document: Any) -> Iterator[Danger]:
    wrong = [f"{key} {text[:80]!r}" for key, text in _texts(document) if not _harmless(key, text)]
    if wrong:
        yield Danger(f"{name} holds what torch would run as Python: {some(wrong)}", _INSTEAD)
    files = [text for key, text in _texts(document) if key in ("target", "as_operator") and _FILE.match(text)]
    if files:
        yield Danger(f"the program {name} calls {some(files)}, which opens files", "take that call out of its forward")


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Give every text in a document with the key under which it stands; keys of tables are names."""
    todo = [(key, value)]
    while todo:
        key, value = todo.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            todo += [(key, each) for each in value]
        elif isinstance(value, dict):
            todo += [*value.items()]
            if key.endswith("_values"):
                yield from (("name", each) for each in value)


def _harmless(key: str, text: str) -> bool:
    if key in ("target", "as_operator"):
        known = not text.startswith("_operator.") or text.removeprefix("_operator.") in _OPERATORS
        return known and "__" not in text and _TARGET.fullmatch(text) is not None
    if key in ("expr_str", "guards_code"):
        return _is_formula(text)
    if key in ("in_spec", "out_spec") or key.endswith("treespec"):
        return not _FACTORY.search(text)
    return key not in _NAMES or _NAME.fullmatch(text) is not None


def _is_formula(text: str) -> bool:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(_is_arithmetic(node) for node in ast.walk(tree))


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        named = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return _FUNCTION.fullmatch(named) is not None
    if isinstance(node, ast.Attribute):
        return not node.attr.startswith("_")
    if isinstance(node, ast.Name):
        return not node.id.startswith("__")
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str) or _NAME.fullmatch(node.value) is not None
    return isinstance(node, _ALLOWED)
