"""`deploy package`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy_toolkit.output import Output, common


@click.command("package")
@click.argument("name", metavar="NAME[@VERSION|@ALIAS]")
@click.option("--for", "target", required=True, metavar="linux|android", help="The device.")
@click.option("--artifact", default="tflite", show_default=True, metavar="ARTIFACT", help="tflite or a variant of it.")
@click.option("--labels", metavar="[OUTPUT=]FILE", help="One label a line, for the last axis of an output.")
@click.option(
    "--license", "license_", type=click.Path(path_type=Path), metavar="FILE", help="The licence of the model."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE.zip|DIR", help="Default: here, named after the version."
)
@common
def command(
    output: Output, name: str, target: str, artifact: str, labels: str | None, license_: Path | None, out: Path | None
) -> int:
    """Put a stored TFLite file into one archive for a device: code that calls it, golden vectors, checksums.

    The same version gives the same bytes. The file in the archive is run and compared with the stored one first.

    \b
    Example:
      deploy package simplenet --for linux
      deploy package simplecnn@2 --for android --artifact tflite-int8 --labels labels.txt --license LICENSE
    """
    from deploy_toolkit.flows import package as flow
    from deploy_toolkit.reports import terminal

    request = flow.Request(name, target, artifact, labels, license_, out)
    with output.progress() as on_event:
        packaged = flow.package(request, store=output.store, on_event=on_event)
    output.show(packaged.to_json(), terminal.packaged(packaged))
    return 0
