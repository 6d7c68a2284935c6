"""`deploy image`."""

from __future__ import annotations

import click

from deploy_toolkit.commands import options
from deploy_toolkit.output import Output, common


@click.command("image")
@click.argument("name", metavar="NAME[@VERSION|@ALIAS]")
@click.option(
    "--server",
    default="embedded",
    show_default=True,
    metavar="S",
    help="Which server is in it; `deploy servers` lists them.",
)
@click.option("--tag", default="", metavar="NAME:TAG", help="What it is called.  [default: NAME-SERVER:VERSION]")
@click.option("--base", default="", metavar="IMAGE", help="What it starts from.  [default: the server's own image]")
@click.option("--engine", default="", metavar="docker|podman", help="Builds it.  [default: what is there]")
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda[:N,…]", help="Where the model will run.")
@click.option("--set", "sets", multiple=True, metavar="OPTION=V", help="An option of the server.")
@click.option("--unproved", is_flag=True, help="Build only: do not run it, for a device that is not here.")
@click.option("--dry-run", is_flag=True, help="Print what would be built, and build nothing.")
@common
def command(output: Output, name: str, sets: tuple[str, ...], unproved: bool, dry_run: bool, **more: str) -> int:
    """Bake one version into an image that needs no store: the server, its configuration and the model.

    It is told of when a container of it, not root and read-only, has predicted the golden outputs.

    \b
    Example:
      deploy image simplenet --tag simplenet:1
      deploy image simplenet@2 --server torchserve --dry-run
    """
    from deploy_toolkit.flows import image as flow
    from deploy_toolkit.reports import images

    request = flow.Request(name, options=options.settings(sets), **more)
    if dry_run:
        version, baking = flow.plan(request, store=output.store)
        output.show(flow.plan_json(version, baking), images.baking(baking))
        return 0
    with output.progress() as on_event:
        baked = flow.image(request, store=output.store, prove=not unproved, on_event=on_event)
    output.show(flow.baked_json(baked), images.baked(baked))
    return 0
