"""`deploy formats`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.command("formats")
@click.option("--all", "every", is_flag=True, help="Every pair with its route, variants included.")
@common
def command(output: Output, every: bool) -> int:
    """Print what converts to what, what is missing here, and why what does not convert does not.

    \b
    Example:
      deploy formats --all
    """
    from deploy_toolkit.flows import formats as flow
    from deploy_toolkit.reports import terminal

    rows = flow.formats()
    output.show(flow.formats_json(rows), terminal.formats(rows, every=every))
    return 0
