"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy_core.artifact import size_of
from deploy_toolkit.reports import dimensions
from deploy_toolkit.reports.check.terminal import agreement

if TYPE_CHECKING:
    from deploy_core.signature import Tensors
    from deploy_exporters.routes import Cell
    from deploy_model_store import Version
    from deploy_servers.launch import Launch
    from deploy_toolkit.flows.demo import Demo
    from deploy_toolkit.flows.export import Exported
    from deploy_toolkit.flows.formats import ServerRow
    from deploy_toolkit.flows.golden_rows import Grown
    from deploy_toolkit.flows.migrate import Migrated
    from deploy_toolkit.flows.package import Packaged
    from deploy_toolkit.flows.store import Listing, Verification


def exported(result: Exported) -> RenderableType:
    """Give the written files with their proof; a version that grew tells what is new."""
    new = "" if len(result.added) == len(result.version.artifacts) else f", new: {', '.join(result.added)}"
    table = _table(f"{result.version}{new}", "artifact", "bytes", "route", "path")
    for artifact in result.version.artifacts:
        table.add_row(artifact.name, f"{size_of(artifact.path):,}", " · ".join(artifact.route), str(artifact.path))
    proved = dimensions.parts(result.version.signature, result.report)
    return Group(agreement(result.report), *proved, table, *dimensions.changes(result.version.artifacts))


def grown(result: Grown) -> RenderableType:
    """Give the proof of a version that has more golden rows, and how many."""
    known = f", {result.known} were there already" if result.known else ""
    told = f"{result.version}: {result.version.golden.rows} golden rows, {result.added} of them new{known}"
    return Group(agreement(result.report), Text(told))


def migrated(result: Migrated) -> RenderableType:
    """Give the new version with its proof, and the answers of the new servers beside TorchServe's."""
    kept = f", around each its handler {result.kept}" if result.kept else ""
    asked = (
        "1 request, as TorchServe answers it"
        if result.requests == 1
        else f"{result.requests} requests, as TorchServe answers them"
    )
    title = f"{asked}{kept}"
    return Group(exported(result.exported), agreement(result.report, title))


def packaged(result: Packaged) -> RenderableType:
    """Give the archive, what is in it, and the proof of its file."""
    lines = [f"{result.path}  {result.bytes:,} bytes  sha256 {result.digest}", *(f"  {name}" for name in result.files)]
    return Group(agreement(result.report), Text("\n".join([*lines, *result.remarks])))


def launch(planned: Launch) -> RenderableType:
    """Give what would be started, as one would type it."""
    import shlex

    lines = [f"{name}={shlex.quote(value)}" for name, value in planned.env.items()]
    lines += [shlex.join(planned.command), *contents(planned)]
    lines += ["", *(f"# {line}" for line in (*planned.endpoints, *planned.notes))]
    return Text("\n".join(lines))


def contents(planned: Launch, below: str = "") -> list[str]:
    """Give what would be put into the server's folder: files with their text, and which stored ones are linked there."""
    from deploy_toolkit.flows.serve import shown

    lines = []
    for place, data in planned.files.items():
        lines += ["", f"# {below}{place}", shown(data).rstrip()]
    links = [f"# {below}{place} is {path}" for place, path in planned.links.items()]
    return [*lines, *([""] if links else []), *links]


def tensors(answer: Tensors) -> RenderableType:
    """Give each output with its shape and values."""
    lines = [f"{name} {array.dtype}{list(array.shape)}\n{array}" for name, array in answer.items()]
    return Text("\n".join(lines))


def listing(found: Listing) -> RenderableType:
    """Give a row for every version, and a line for all that is damaged."""
    table = _table("", "model", "version", "created", "artifacts", "aliases")
    for version in found.versions:
        names = ", ".join(artifact.name for artifact in version.artifacts)
        aliases = ", ".join(found.aliases_of(version))
        table.add_row(version.name, str(version.number), version.created, names, aliases)
    damaged = Text("\n".join(f"{what} is damaged: {problem}" for what, problem in found.damaged), style="bold red")
    if not found.versions:
        return damaged if found.damaged else Text("the store holds no model")
    return Group(table, damaged) if found.damaged else table


def aliases(found: Mapping[str, Mapping[str, int]]) -> RenderableType:
    """Give a line for every alias."""
    lines = [f"{name}@{alias} is {name}@{number}" for name, named in found.items() for alias, number in named.items()]
    return Text("\n".join(lines) or "there are no aliases")


def version(found: Version) -> RenderableType:
    """Give the signature, the artifacts with their routes, and the noise of each output."""
    signature = found.signature
    lines = [
        f"{found}  {found.path}",
        f"created   {found.created}",
        f"source    {found.source.get('kind', '')} {found.source.get('location', '')}",
        f"training  {found.training_id}",
        f"inputs    {', '.join(map(str, signature.inputs))}",
        f"outputs   {', '.join(map(str, signature.outputs))}",
        *(f"noise     {name} {value:.1e}" for name, value in found.golden.greatest_noise.items()),
    ]
    table = _table("", "artifact", "bytes", "route", "sha256")
    for artifact in found.artifacts:
        table.add_row(artifact.name, f"{size_of(artifact.path):,}", " · ".join(artifact.route), artifact.digest[:16])
    return Group(Text("\n".join(lines)), table)


def verification(result: Verification) -> RenderableType:
    """Give each damaged file, or say that all is well."""
    lines = []
    for name, number, damages in result.found:
        told = [f"{damage.file} is {damage.problem}" for damage in damages] or ["as published"]
        lines += [f"{name}@{number}: {text}" for text in told]
    return Text("\n".join(lines))


def formats(rows: Sequence[Cell], *, every: bool = False) -> RenderableType:
    """Give what converts to what."""
    from deploy_toolkit.reports import matrix

    return matrix.every(rows) if every else matrix.matrix(rows)


def servers(rows: Sequence[ServerRow], *, options: bool = False) -> RenderableType:
    """Give which servers can run here, and what `--set` may say of each."""
    table = _table("", "server", "serves", "speaks", "over", "here")
    for row in rows:
        lists = [", ".join(names) for names in (row.formats, row.dialects, row.transports)]
        table.add_row(row.server, *lists, _here(row))
    return Group(table, *map(_options, rows)) if options else table


def _options(row: ServerRow) -> Table:
    table = _table(row.server, "--set", "what it is")
    for name, help_ in row.options.items():
        table.add_row(name, help_)
    return table


def demo(result: Demo) -> RenderableType:
    """Give one table for each part of the demo, and where the files lie."""
    parts = [agreement(report, title) for title, report in result.reports]
    return Group(
        *parts,
        Text(
            "\n".join(
                (
                    *result.notes,
                    f"the files lie in {result.store}, see deploy store show simplenet --store {result.store}",
                )
            )
        ),
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title or None, box=box.SIMPLE, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "subject")
    return table


def _here(row: ServerRow) -> Text:
    if not row.missing:
        return Text("yes", style="green")
    return Text(f"needs {', '.join(row.missing)}: {row.hint}", style="yellow")
