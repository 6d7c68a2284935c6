"""One model of the zoo: plain data that a child process can open."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDER = "DEPLOY_ZOO_MODELS"


@dataclass(frozen=True)
class Model:
    """`source` is a function of `benchmarks.zoo.models`, or the path of a file below `$DEPLOY_ZOO_MODELS`.

    `inputs` are tensor specs where more than the batch is dynamic; `ranges` bounds a symbol as `--range` does.
    `origin` is who wrote the architecture, `free` names what is dynamic.
    """

    name: str
    kind: str
    source: str
    origin: str
    inputs: tuple[str, ...] = ()
    free: tuple[str, ...] = ("batch",)
    ranges: tuple[tuple[str, int, int], ...] = ()
    quick: bool = False
    needs: str = ""

    @property
    def location(self) -> str:
        """SOURCE as `deploy export` takes it."""
        return f"benchmarks.zoo.models.{self.source}" if ":" in self.source else str(self.file)

    @property
    def file(self) -> Path:
        """The shipped file of a model that is one, or that a function reads: below `$DEPLOY_ZOO_MODELS`."""
        return shipped() / (self.needs or self.source)

    @property
    def available(self) -> bool:
        """Whether the files that it needs are here."""
        return (":" in self.source and not self.needs) or self.file.exists()

    @property
    def version(self) -> str:
        """A digest of the row and of all code of the zoo that builds it: results of another version are not its own."""
        text = repr(self) + (_code(*self.source.split(":")) if ":" in self.source else "")
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def shipped() -> Path:
    """Give the folder that packages with models were installed into."""
    return Path(os.environ.get(_FOLDER, "zoo-models"))


@cache
def _code(module: str, function: str) -> str:
    text = (Path(__file__).parent / "models" / f"{module}.py").read_text()
    parts = dict(_named(ast.parse(text)))
    wanted, found = [function], {}
    while wanted:
        name = wanted.pop()
        if name in parts and name not in found:
            found[name] = ast.dump(parts[name])
            wanted += [node.id for node in ast.walk(parts[name]) if isinstance(node, ast.Name)]
    return "".join(found[name] for name in sorted(found))


def _named(module: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Assign):
            yield from ((target.id, statement) for target in statement.targets if isinstance(target, ast.Name))
