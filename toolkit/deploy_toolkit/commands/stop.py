"""`deploy stop`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.command("stop")
@click.argument("names", nargs=-1, metavar="[RUN|NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every server that runs, and whatever was left over.")
@click.option("--orphans", is_flag=True, help="What was left over of those that were killed, and logs a day old.")
@common
def command(output: Output, names: tuple[str, ...], everything: bool, orphans: bool) -> int:
    """End servers, by run (its id or how that begins) or by model, and wait until they have ended.

    A server is let finish the requests that it has begun; without RUN, the only one that runs is meant.

    \b
    Example:
      deploy stop simplenet
      deploy stop --orphans
    """
    from deploy_toolkit.flows import life as flow
    from deploy_toolkit.reports import runs as report

    stopped = flow.stop(names, everything=everything, orphans=orphans)
    output.show(flow.stopped_json(stopped), report.stopped(stopped))
    return 0
