"""Models of the zoo as honest pairs: exported, which proves their files, and then checked as a user would."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.faults.honest import Pair
from benchmarks.faults.judging import ask
from benchmarks.zoo import pairs, registry
from deploy_core.errors import DeployError
from deploy_core.signature import TensorSpec
from deploy_toolkit.flows import export

if TYPE_CHECKING:
    from benchmarks.faults.ground import Ground
    from benchmarks.zoo.model import Model


def judge_all(ground: Ground, *, quick: bool) -> Iterator[Pair]:
    """Judge what can be exported of the zoo, or of its quick part; what cannot be is no pair."""
    for model in registry.MODELS:
        if model.available and (model.quick or not quick):
            with TemporaryDirectory(prefix="deploy-faults-") as folder:
                yield from _judge(type(ground)(Path(folder)), model)


def _judge(ground: Ground, model: Model) -> Iterator[Pair]:
    if not _exported(ground, model):
        return
    for row in ask(ground, model.name, [model.name]).report.rows:
        ok = row.ok or row.unavailable or row.unproved
        if not ok:
            print(f"ACCUSED {row.subject}: {row.why[:300]}", file=sys.stderr, flush=True)
        yield Pair(f"zoo: {model.name}", f"file {row.subject.rpartition('/')[2]}", ok, "" if ok else row.why)


def _exported(ground: Ground, model: Model) -> bool:
    """Export it in all its formats; tell whether that was possible."""
    request = export.Request(
        model.location,
        tuple(pairs.formats(model)),
        name=model.name,
        inputs=tuple(map(TensorSpec.parse, model.inputs)),
        ranges={symbol: (least, greatest) for symbol, least, greatest in model.ranges},
        trust=True,
    )
    try:
        export.export(request, store=ground.store)
    except DeployError as error:
        print(f"not exported: {model.name}: {str(error)[:200]}", file=sys.stderr, flush=True)
        return False
    return True
