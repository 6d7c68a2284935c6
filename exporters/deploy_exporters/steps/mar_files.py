"""What a user adds to a TorchServe archive: a handler of their own, other files, packages to install."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy_core.errors import UsageError

REQUIREMENTS = "requirements.txt"


def own_handler(options: Mapping[str, str]) -> str:
    """Give the name of the user's handler in the archive, "" for ours."""
    return Path(options["handler"]).name if options.get("handler") else ""


def added(options: Mapping[str, str], taken: Mapping[str, bytes]) -> dict[str, bytes]:
    """Read the files that the options name. Raises UsageError for one that cannot be what it is named for.

    Each lies in the archive under its own last name, beside those that are `taken`.
    """
    files = dict(taken)
    for option, path, name in _named(options):
        if not path.is_file():
            raise UsageError(f"mar.{option}: there is no file {path}", hint="folders are not taken; name each file")
        if name.casefold() in {each.casefold() for each in files} or name.startswith("."):
            raise UsageError(
                f"mar.{option}: {path} would be {name!r} in the archive, which it cannot be",
                hint=f"rename it; {', '.join(files)} are there already",
            )
        files[name] = path.read_bytes()
        if option == "handler":
            _check_handler(path, files[name])
    return {name: body for name, body in files.items() if name not in taken}


def _named(options: Mapping[str, str]) -> Iterator[tuple[str, Path, str]]:
    if handler := options.get("handler"):
        yield "handler", Path(handler), Path(handler).name
    for text in options.get("extra-files", "").split(","):
        if text.strip():
            yield "extra-files", Path(text.strip()), Path(text.strip()).name
    if requirements := options.get("requirements"):
        yield "requirements", Path(requirements), REQUIREMENTS


def _check_handler(path: Path, body: bytes) -> None:
    """Raise UsageError unless it is Python that defines what TorchServe looks for; it is not run."""
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UsageError(f"mar.handler: {path} has no name of a Python module", hint="call it e.g. my_handler.py")
    try:
        tree = ast.parse(body)
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"mar.handler: {path} is no Python: {error}", hint="import it in Python first") from error
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if len(classes) != 1 and "handle" not in functions:
        raise UsageError(
            f"mar.handler: {path} defines {len(classes)} classes and no function handle(data, context)",
            hint="TorchServe takes the only class of the module, else that function",
        )
