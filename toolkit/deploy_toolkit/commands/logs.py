"""`deploy logs`."""

from __future__ import annotations

import click

from deploy_core.errors import UsageError
from deploy_toolkit.output import Output, common


@click.command("logs")
@click.argument("name", required=False, metavar="[RUN|NAME]")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is new, until the run has ended.")
@click.option("--lines", type=click.IntRange(min=0), default=100, show_default=True, help="How many of the last ones.")
@common
def command(output: Output, name: str | None, follow: bool, lines: int) -> int:
    """Print what a server has said; without RUN, the only one that runs is meant.

    \b
    Example:
      deploy logs simplenet -f
    """
    from deploy_toolkit.flows import life as flow

    if follow and output.as_json:
        raise UsageError("--follow has no end, and one document must have one", hint="leave out --json or --follow")
    log = flow.log_of(name)
    if output.as_json:
        output.show({"schema": "deploy/logs/1", "log": str(log), "lines": list(flow.lines_of(log, last=lines))}, None)
        return 0
    for line in flow.lines_of(log, last=lines, follow=follow):
        click.echo(line)
    return 0
