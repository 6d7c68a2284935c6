"""`deploy ps`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.command("ps")
@common
def command(output: Output) -> int:
    """List the servers that run here, and what was left over of those that were killed.

    \b
    Example:
      deploy ps
    """
    from deploy_toolkit.flows import life as flow
    from deploy_toolkit.reports import runs as report

    found = flow.listing()
    output.show(flow.listing_json(found), report.listing(found))
    return 0
