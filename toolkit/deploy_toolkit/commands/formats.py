"""`deploy formats`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.command("formats")
@common
def command(output: Output) -> int:
    """Print what converts to what, by which route, and what is missing here.

    \b
    Example:
      deploy formats --json
    """
    from deploy_toolkit.flows import formats as flow
    from deploy_toolkit.reports import terminal

    rows = flow.formats()
    output.show(flow.formats_json(rows), terminal.formats(rows))
    return 0
