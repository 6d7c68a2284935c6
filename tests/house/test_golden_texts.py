"""What people read is what the code says: `--help`, and the table in the README."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from deploy_exporters.routes import Cell
from deploy_toolkit.cli import COMMANDS, deploy
from deploy_toolkit.reports.matrix import variants, word

ROOT = Path(__file__).parents[2]
Golden = Callable[[Path, str], None]
_TABLE = re.compile(r"(?<=held by a test -->\n).*?(?=<!-- /table -->)", re.DOTALL)


@pytest.mark.parametrize("name", ["deploy", *COMMANDS])
def test_golden_help(name: str, golden: Golden) -> None:
    texts = [_help(command, path) for path, command in _walk(deploy, "deploy") if _belongs(path, name)]
    golden(Path(__file__).parent / "golden" / f"help-{name}.txt", "\n\n".join(texts) + "\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(name: str) -> None:
    command = deploy.get_command(click.Context(deploy), name)
    assert command is not None
    assert "Example:" in (command.help or "")


def test_golden_readme_table(golden: Golden) -> None:
    readme = ROOT / "README.md"
    golden(readme, _TABLE.sub(lambda _: _table(), readme.read_text()))


def _table() -> str:
    from deploy_exporters.formats import split
    from deploy_toolkit.flows import formats

    cells = formats.formats()
    wanted = list(dict.fromkeys(cell.format for cell in cells if not split(cell.format)[1]))
    servers = formats.servers()
    lines = [f"| | {' | '.join(wanted)} |", f"|---|{'---|' * len(wanted)}"]
    for kind in dict.fromkeys(cell.kind for cell in cells):
        row = {cell.format: cell for cell in cells if cell.kind == kind}
        lines.append(f"| from {kind} | {' | '.join(_via(row[name]) for name in wanted)} |")
    found = variants(cells)
    lines.append(f"| also as | {' | '.join(', '.join(found.get(name, ['–'])) for name in wanted)} |")
    for row in servers:
        lines.append(
            f"| {row.server} | {' | '.join(_speaks(row) if name in row.formats else '–' for name in wanted)} |"
        )
    return "\n" + "\n".join(lines) + "\n\n"


def _via(cell: Cell) -> str:
    told = word(replace(cell, missing=()))
    steps = [name for name in (step.split("_from_")[0] for step in cell.route[:-1]) if name != cell.kind]
    return f"{told}, via {', '.join(steps)}" if steps else told


def _speaks(row: Any) -> str:
    return f"{', '.join(row.dialects)} × {', '.join(row.transports)}"


def _walk(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += _walk(inner, f"{path} {name}")
    return found


def _belongs(path: str, name: str) -> bool:
    words = path.split()
    return words == ["deploy"] if name == "deploy" else words[1:2] == [name]


def _help(command: click.Command, path: str) -> str:
    # The names of the help option as every user has them: click keeps those that it has made first.
    settings = {**deploy.context_settings, "max_content_width": 100}
    return command.get_help(click.Context(command, info_name=path, terminal_width=100, **settings))
