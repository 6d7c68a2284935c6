"""`deploy servers`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.command("servers")
@click.argument("names", nargs=-1, metavar="[SERVER]...")
@common
def command(output: Output, names: tuple[str, ...]) -> int:
    """Print which servers can run here, and what is missing.

    Of those that are named, also what `--set` may say.

    \b
    Example:
      deploy servers
      deploy servers torchserve
    """
    from deploy_toolkit.flows import formats as flow
    from deploy_toolkit.reports import terminal

    rows = flow.servers(names)
    output.show(flow.servers_json(rows), terminal.servers(rows, options=bool(names)))
    return 0
