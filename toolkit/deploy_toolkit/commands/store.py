"""`deploy store`."""

from __future__ import annotations

import click

from deploy_toolkit.output import Output, common


@click.group("store")
def command() -> None:
    """Look into the store of models, verify its files, name versions.

    \b
    Example:
      deploy store ls
      deploy store verify simplenet
      deploy store alias simplenet@2 stable
    """


@command.command("ls")
@common
def ls(output: Output) -> int:
    """List models, versions and artifacts."""
    from deploy_toolkit.flows import store as flow
    from deploy_toolkit.reports import terminal

    listing = flow.listing(output.store)
    output.show(flow.listing_json(listing), terminal.listing(listing))
    return 0


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
@click.argument("name", metavar="NAME[@VERSION]")
@click.argument("alias")
@common
def alias(output: Output, name: str, alias: str) -> int:
    """Let ALIAS name a version (the newest without @VERSION)."""
    from deploy_toolkit.flows import store as flow

    version = flow.alias(output.store, name, alias)
    output.show(
        {"schema": "deploy/alias/1", "name": version.name, "version": version.number, "alias": alias},
        f"{version.name}@{alias} is now {version.name}@{version.number}",
    )
    return 0
