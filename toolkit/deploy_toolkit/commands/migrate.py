"""`deploy migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy_toolkit.commands import options, tensor_files
from deploy_toolkit.output import Output, common


@click.command("migrate")
@click.argument("archive", type=click.Path(path_type=Path), metavar="FILE.mar")
@click.option("--to", required=True, metavar="FORMAT|SERVER[,…]", help="Formats to write, servers to try: onnx,triton.")
@click.option("--name", help="The name in the store; default: the name of the file.")
@click.option(
    "--request",
    "requests",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The body of a request that the archive's handler takes; its name tells the content type.",
)
@click.option("--example", type=click.Path(path_type=Path), metavar="FILE.npz", help="Inputs of the model, by name.")
@click.option("--input", "inputs", multiple=True, metavar="NAME:DTYPE[DIM,…]", help="An input of the model.")
@click.option("--trust", is_flag=True, help="Run the code that the archive holds: its handler, its model.")
@common
def command(
    output: Output,
    archive: Path,
    to: str,
    name: str | None,
    requests: tuple[Path, ...],
    example: Path | None,
    inputs: tuple[str, ...],
    trust: bool,
) -> int:
    """Move a model out of TorchServe: store what an archive holds in other formats, and prove the new servers.

    TorchServe answers requests on the archive itself; then the archive's handler asks each new server in place of its
    model, and has to answer the same. Without a --request, rows of the golden inputs are sent as JSON.

    \b
    Example:
      deploy migrate classifier.mar --to onnx,torchserve --request kitten.json --trust
    """
    from deploy_core.signature import TensorSpec
    from deploy_toolkit.flows import migrate as flow
    from deploy_toolkit.reports import terminal

    request = flow.Request(
        archive,
        options.names(to),
        name,
        requests,
        tensor_files.read(example) if example else None,
        tuple(TensorSpec.parse(text) for text in inputs),
        trust,
    )
    with output.progress() as on_event:
        migrated = flow.migrate(request, store=output.store, on_event=on_event)
    output.show(migrated.to_json(), terminal.migrated(migrated))
    return migrated.report.exit_code
