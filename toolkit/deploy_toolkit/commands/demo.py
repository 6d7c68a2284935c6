"""`deploy demo`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy_toolkit.output import Output, common


@click.command("demo")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("demo-out"), show_default=True)
@common
def command(output: Output, folder: Path) -> int:
    """Run the main job on the example models: train, export, store, serve, check everything against everything.

    \b
    Example:
      deploy demo --folder /tmp/demo
    """
    from deploy_toolkit.flows import demo as flow
    from deploy_toolkit.reports import terminal

    with output.progress() as on_event:
        result = flow.demo(folder, on_event=on_event)
    output.show(result.to_json(), terminal.demo(result))
    return result.exit_code
