"""`deploy demo`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.command("demo")
@common
def command(output: Output) -> int:
    """Run the main job on the example models: train, export, store, serve, check everything against everything.

    \b
    Example:
      deploy demo --store demo-out
    """
    from deploy_toolkit.flows import demo as flow
    from deploy_toolkit.reports import terminal

    with output.progress() as on_event:
        result = flow.demo(output.store, on_event=on_event)
    output.show(result.to_json(), terminal.demo(result))
    return result.exit_code
