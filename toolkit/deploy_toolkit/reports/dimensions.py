"""What was proved of dynamic dimensions, and what files could not keep, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from deploy_agreement import Report
    from deploy_core.artifact import Artifact
    from deploy_core.signature import Signature


def parts(signature: Signature, report: Report) -> list[Text]:
    """Give the sizes at which every file was proved, and those that the source itself refuses."""
    if not signature.symbols:
        fixed = ", ".join(map(str, signature.inputs))
        return [Text(f"static: {fixed}", style="dim")]
    lines = [_sizes(symbol, report) for symbol in signature.symbols]
    together = [one["sizes"] for one in report.promised["sizes"] if len(one["sizes"]) > 1]
    lines += [", ".join(f"{symbol} = {size}" for symbol, size in sizes.items()) + " together" for sizes in together]
    return [Text(f"proved at {'; '.join(filter(None, lines))}", style="dim"), *_refused(report)]


def changes(artifacts: Sequence[Artifact]) -> list[Text]:
    """Give a line for every tensor that a file has in another dtype or layout, and for every remark."""
    return [Text(line, style="yellow") for artifact in artifacts for line in _of(artifact)]


def _of(artifact: Artifact) -> Iterator[str]:
    signature = artifact.file_signature
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    for change in artifact.changes:
        yield f"{artifact.name}: {specs[change.tensor]} in the file: {change.why}"
    yield from (f"{artifact.name}: {remark}" for remark in artifact.remarks)


def _sizes(symbol: str, report: Report) -> str:
    alone = {one["sizes"][symbol] for one in report.promised["sizes"] if set(one["sizes"]) == {symbol}}
    batches = {size for row in report.rows for size in row.batches} if symbol == "batch" else set()
    own = {report.promised["golden"][symbol]} if symbol in report.promised["golden"] else set()
    sizes = sorted(alone | batches | own)
    return f"{symbol} {', '.join(map(str, sizes))}" if sizes else ""


def _refused(report: Report) -> list[Text]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in report.promised["refused"]:
        found.setdefault(one["symbol"], []).append(one)
    return [
        Text(
            f"the source itself refuses {symbol} {', '.join(str(one['size']) for one in some)}: {some[-1]['why']}",
            style="dim",
        )
        for symbol, some in found.items()
    ]
