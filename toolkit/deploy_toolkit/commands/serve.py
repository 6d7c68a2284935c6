"""`deploy serve`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from deploy_toolkit.commands import options
from deploy_toolkit.output import Output, common

if TYPE_CHECKING:
    from deploy_toolkit.flows.detached import Report
    from deploy_toolkit.flows.serve import Request


@click.command("serve")
@click.argument("names", nargs=-1, metavar="[NAME[@VERSION|@ALIAS]]...")
@click.option("--server", default="embedded", show_default=True, metavar="S", help="One that `deploy servers` lists.")
@click.option("--http-port", type=click.IntRange(0, 65535), default=0, help="For REST; 0: any free port.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=0, help="For gRPC; 0: any free port.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it answers: 0.0.0.0 is everywhere."
)
@click.option(
    "--in",
    "where",
    type=click.Choice(("process", "container")),
    default="process",
    show_default=True,
    help="How the server runs.",
)
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda[:N,…]", help="Where the model runs.")
@click.option("--engine", default="", metavar="docker|podman", help="Runs the container.  [default: what is there]")
@click.option("--image", default="", metavar="IMAGE", help="The container's image.  [default: the server's own]")
@click.option("--cpus", default="", metavar="N", help="How many CPUs the container may use.")
@click.option("--memory", default="", metavar="SIZE", help="How much memory the container may use, e.g. 2g.")
@click.option(
    "--set", "sets", multiple=True, metavar="OPTION=V", help="An option of the server: `deploy servers S` lists them."
)
@click.option("--detach", is_flag=True, help="Return when it is ready; it goes on until `deploy stop`.")
@click.option("--follow", is_flag=True, help="Serve what the names mean in the store, also when that changes.")
@click.option("--no-restart", is_flag=True, help="End when the server dies, instead of starting it again.")
@click.option("--run", default="", hidden=True)
@click.option("--report-to", type=int, default=None, hidden=True)
@click.option("--dry-run", is_flag=True, help="Print what would be started, and start nothing.")
@common
def command(
    output: Output,
    names: tuple[str, ...],
    server: str,
    http_port: int,
    grpc_port: int,
    sets: tuple[str, ...],
    dry_run: bool,
    detach: bool,
    follow: bool,
    no_restart: bool,
    report_to: int | None,
    **more: Any,
) -> int:
    """Serve stored models until Ctrl-C; without a NAME, the whole store.

    Ready means that every endpoint has predicted the golden outputs. A server that dies is started again.

    \b
    Example:
      deploy serve simplenet --http-port 8501 --grpc-port 8500
      curl -d '{"instances": [[1,2,3,4,5,6]]}' http://127.0.0.1:8501/v1/models/simplenet:predict
    """
    from deploy_toolkit.flows import detached
    from deploy_toolkit.flows import serve as flow
    from deploy_toolkit.reports import runs as report
    from deploy_toolkit.reports import terminal

    given = options.settings(sets)
    request = flow.Request(names, server, http_port, grpc_port, options=given, is_command=True, **more)
    if dry_run:
        launch = flow.plan(request, store=output.store)
        output.show(flow.launch_json(launch), terminal.launch(launch))
        return 0
    if detach:
        with output.progress() as on_event:
            document = detached.start(
                request, store=output.store, follow=follow, restart=not no_restart, on_event=on_event
            )
        output.show(document, report.serving(document, f"`deploy stop {document['run']}` stops it"))
        return 0
    with detached.reporting(report_to) as starter:
        _serve(output, request, starter, follow=follow, restart=not no_restart)
    return 0


def _serve(output: Output, request: Request, starter: Report, *, follow: bool, restart: bool) -> None:
    from deploy_toolkit.flows import serve as flow
    from deploy_toolkit.flows.following import Follower
    from deploy_toolkit.flows.upkeep import wait
    from deploy_toolkit.reports import runs as report

    prepared = flow.prepared(request, store=output.store)
    follower = Follower(prepared, store=output.store, on_event=output.say) if follow else None
    with ExitStack() as stack:
        with output.progress() as on_event:  # ends when the server is ready: nothing spins while it serves

            def tell(event: str) -> None:
                on_event(event)
                starter.event(event)

            running = stack.enter_context(flow.started(prepared, on_event=tell))
        document = flow.running_json(running)
        if not starter.ready(document):
            output.show(document, report.serving(document, "Ctrl-C stops it"))
        wait(running, restart=restart, follower=follower, on_event=output.say)
    flow.require_drained(running)
