"""`deploy store`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy_core.errors import UsageError
from deploy_toolkit.commands import tensor_files
from deploy_toolkit.output import Output, common


@click.group("store")
def command() -> None:
    """Look into the store of models, verify its files, name versions.

    \b
    Example:
      deploy store ls
      deploy store verify simplenet
      deploy store alias simplenet stable 2
    """


@command.command("ls")
@common
def ls(output: Output) -> int:
    """List models, versions, artifacts and aliases; exit code 4 if a manifest is damaged."""
    from deploy_toolkit.flows import store as flow
    from deploy_toolkit.reports import terminal

    found = flow.listing(output.store)
    output.show(flow.listing_json(found), terminal.listing(found))
    return found.exit_code


@command.command("show")
@click.argument("name", metavar="NAME[@…]")
@common
def show(output: Output, name: str) -> int:
    """Show one version: signature, artifacts, routes, noise."""
    from deploy_toolkit.flows import store as flow
    from deploy_toolkit.reports import terminal

    version = flow.version(output.store, name)
    output.show(flow.version_json(version), terminal.version(version))
    return 0


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME[@…]]...")
@common
def verify(output: Output, names: tuple[str, ...]) -> int:
    """Compare every stored file with what was published; exit code 4 if one differs."""
    from deploy_toolkit.flows import store as flow
    from deploy_toolkit.reports import terminal

    result = flow.verify(output.store, names)
    output.show(result.to_json(), terminal.verification(result))
    return result.exit_code


@command.command("alias")
@click.argument("name", metavar="[NAME[@VERSION]]", required=False)
@click.argument("alias", metavar="[ALIAS]", required=False)
@click.argument("number", metavar="[VERSION]", required=False, type=click.IntRange(1))
@click.option("--remove", is_flag=True, help="Forget ALIAS.")
@common
def alias(output: Output, name: str | None, alias: str | None, number: int | None, remove: bool) -> int:
    """Let ALIAS name a version, the newest without VERSION; list aliases without ALIAS.

    TensorFlow Serving has them as labels: NAME@ALIAS in an endpoint's URL, /labels/ALIAS on the wire.

    \b
    Example:
      deploy store alias simplenet stable 2
      deploy store alias simplenet
      deploy store alias simplenet stable --remove
    """
    from deploy_toolkit.flows import store as flow
    from deploy_toolkit.reports import terminal

    if remove:
        if name is None or alias is None or number is not None:
            raise UsageError("--remove needs a name and an alias", hint="write deploy store alias NAME ALIAS --remove")
        found = flow.remove_alias(output.store, name, alias)
    elif name is None or alias is None:
        found = flow.aliases(output.store, name)
    else:
        version = flow.alias(output.store, name, alias, number)
        output.show(
            {"schema": "deploy/alias/1", "name": version.name, "version": version.number, "alias": alias},
            f"{version.name}@{alias} is now {version}",
        )
        return 0
    output.show(flow.aliases_json(found), terminal.aliases(found))
    return 0


@command.command("golden")
@click.argument("name", metavar="NAME[@…]")
@click.option(
    "--add",
    "files",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    multiple=True,
    required=True,
    help="Rows to add, such as the worst input that deploy check --search saved.",
)
@common
def golden(output: Output, name: str, files: tuple[Path, ...]) -> int:
    """Publish the next version with further golden inputs, answered by the reference and proved of every file.

    \b
    Example:
      deploy check simplenet --search 10
      deploy store golden simplenet --add deploy-check/simplenet-1-tflite-output.npz
    """
    from deploy_toolkit.flows import golden_rows as flow
    from deploy_toolkit.reports import terminal

    with output.progress() as on_event:
        grown = flow.add(output.store, name, [tensor_files.read(file) for file in files], on_event)
    output.show(grown.to_json(), terminal.grown(grown))
    return 0
