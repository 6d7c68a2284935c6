"""`deploy gate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from deploy_toolkit.output import Output, common


@click.command("gate")
@click.argument("file", type=click.Path(path_type=Path), default=Path("deploy.toml"), metavar="[deploy.toml]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where documents and pages go; else as the file says.",
)
@click.option("--dry-run", is_flag=True, help="Print the commands, and run none.")
@common
def command(output: Output, file: Path, out: Path | None, dry_run: bool) -> int:
    """Run export, check, bench and package as one file says, for CI; the exit code is the worst of all.

    Each table of the file is one command and each of its keys an option of that command, by the same name. Paths are
    those as seen from the file's folder. Into `out` (default: deploy-gate) go junit.xml, gate.json, index.html, the
    document, the page and the log of each step, and what it finds that is to be kept, such as worst inputs.

    \b
    Example:
      # deploy.toml
      [[export]]
      source = "examples/simplenet.py:torch_net"
      name = "simplenet"
      to = ["onnx", "tflite"]

    \b
      [[check]]
      subjects = ["simplenet"]
      server = ["embedded"]

    \b
      [[bench]]
      subjects = ["simplenet"]
      rate = 100
      slo = "p99<50ms,errors<1%"

    \b
      deploy gate deploy.toml
    """
    from deploy_toolkit.commands import gating
    from deploy_toolkit.flows.gate import flow
    from deploy_toolkit.reports.gate import terminal, writing

    said_by = click.get_current_context().get_parameter_source("store")
    plan = gating.read(
        file,
        store=output.store if said_by is ParameterSource.COMMANDLINE else None,
        usual=output.store if said_by is ParameterSource.ENVIRONMENT else None,
        out=out,
    )
    if dry_run:
        output.show(plan.to_json(), terminal.planned(plan))
        return 0
    with output.progress() as on_event:
        result = flow.gate(plan, on_event=on_event)
    document: dict[str, Any] = result.to_json()
    writing.write(result)
    output.show(document, terminal.gated(result))
    return result.exit_code
