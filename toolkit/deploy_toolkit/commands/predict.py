"""`deploy predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_toolkit.commands import tensor_files
from deploy_toolkit.commands.reaching import reaching
from deploy_toolkit.output import Output, common

if TYPE_CHECKING:
    from deploy_toolkit.flows.access import Access


@click.command("predict")
@click.argument("subject", metavar="NAME[@…][/ARTIFACT]|ENDPOINT|FILE")
@click.option(
    "--input",
    "inputs",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.json|FILE.npz",
    help="Inputs by name.",
)
@click.option("--trust", is_flag=True, help="Open a file that may run code of its own.")
@reaching
@common
def command(output: Output, subject: str, inputs: Path, trust: bool, access: Access) -> int:
    """Ask a stored model, an exported file or an endpoint for one prediction.

    \b
    Example:
      echo '{"features": [[1,2,3,4,5,6]]}' > x.json
      deploy predict simplenet --input x.json
      deploy predict oip+grpc://127.0.0.1:8500/simplenet --input x.json
      deploy predict oip+rests://models.example:443/simplenet --input x.json --ca ca.pem --token-env TOKEN
    """
    from deploy_toolkit.flows import predict as flow
    from deploy_toolkit.reports import terminal

    with output.progress() as on_event:
        answer = flow.predict(
            subject, tensor_files.read(inputs), store=output.store, trust=trust, access=access, on_event=on_event
        )
    output.show(flow.to_json(subject, answer), terminal.tensors(answer))
    return 0
