"""`deploy doctor`."""

from __future__ import annotations

import click

from deploy_core.errors import UnavailableError
from deploy_toolkit.output import Output, common


@click.command("doctor")
@click.option("--server", metavar="S", help="Only this one; else all, and `embedded` decides the exit code.")
@common
def command(output: Output, server: str | None) -> int:
    """Look at this machine: what there is, which servers can run here, in which ways, and what mends the rest.

    Takes no more than five seconds, whatever hangs. Exit code 6 if the embedded server cannot run.

    \b
    Example:
      deploy doctor
      deploy doctor --server triton --json
    """
    from deploy_toolkit.flows import doctor as flow
    from deploy_toolkit.reports import doctor as report

    found = flow.doctor(output.store, server)
    output.show(flow.to_json(found), report.diagnosis(found))
    return 0 if found.ok else UnavailableError.exit_code
