"""`deploy check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_toolkit.commands import tensor_files
from deploy_toolkit.commands.reaching import reaching
from deploy_toolkit.output import Output, common

if TYPE_CHECKING:
    from deploy_toolkit.flows.access import Access


@click.command("check")
@click.argument("subjects", nargs=-1, required=True, metavar="NAME[@…]|FILE|ENDPOINT...")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="A live endpoint to check, too.")
@click.option("--server", "servers", multiple=True, metavar="S", help="Start this server and check its endpoints, too.")
@click.option("--against", metavar="NAME[@…]", help="Whose golden outputs are wanted; default: the first NAME.")
@click.option(
    "--inputs", type=click.Path(path_type=Path), metavar="FILE.npz", help="Inputs instead of the golden ones."
)
@click.option("--atol", type=click.FloatRange(min=0), help="Absolute tolerance instead of the derived one.")
@click.option("--rtol", type=click.FloatRange(min=0), help="Relative tolerance instead of the derived one.")
@click.option("--trust", is_flag=True, help="Open files that may run code of their own.")
@reaching
@common
def command(
    output: Output,
    subjects: tuple[str, ...],
    endpoints: tuple[str, ...],
    servers: tuple[str, ...],
    against: str | None,
    inputs: Path | None,
    atol: float | None,
    rtol: float | None,
    trust: bool,
    access: Access,
) -> int:
    """Prove that artifacts and endpoints predict what was trained; exit code 4 if one does not.

    The golden outputs of the first NAME are wanted of everything else that is named; without a NAME, the answers of
    the first FILE or ENDPOINT. Where there is both a stored NAME and a file, ./NAME is the file.

    \b
    Example:
      deploy check simplenet
      deploy check simplenet model.onnx --endpoint tfserving+rest://127.0.0.1:8501/simplenet
      deploy check model.onnx model.tflite --inputs x.npz
      deploy check simplenet --endpoint oip+grpcs://models.example:443/simplenet --ca ca.pem --token-file token
    """
    from deploy_toolkit.flows import check as flow
    from deploy_toolkit.reports import terminal

    request = flow.Request(
        subjects=(*subjects, *endpoints),
        servers=servers,
        against=against,
        inputs=tensor_files.read(inputs) if inputs else None,
        atol=atol,
        rtol=rtol,
        trust=trust,
        access=access,
    )
    with output.progress() as on_event:
        report = flow.check(request, store=output.store, on_event=on_event)
    output.show(report.to_json(), terminal.agreement(report))
    return report.exit_code
