"""`deploy servers`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.command("servers")
@common
def command(output: Output) -> int:
    """Print which servers can run here, and what is missing.

    \b
    Example:
      deploy servers
    """
    from deploy_toolkit.flows import formats as flow
    from deploy_toolkit.reports import terminal

    rows = flow.servers()
    output.show(flow.servers_json(rows), terminal.servers(rows))
    return 0
