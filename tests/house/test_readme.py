"""The README's code runs, and every command line of the pages is one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deploy_toolkit.cli import deploy

ROOT = Path(__file__).parents[2]
PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", _blocks("python"))
def test_python(code: str, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", _blocks("sh"))
def test_shell(code: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euxc", code],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_have_the_options_that_commands_have(page: Path) -> None:
    for line in _command_lines(page.read_text()):
        try:
            _parse(deploy, shlex.split(line, comments=True)[1:])
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_a_line_that_is_no_command_line_is_found() -> None:
    assert list(_command_lines("`deploy ps`\n```sh\ncd x && deploy stop a  # it\n```\n")) == [
        "deploy stop a  # it",
        "deploy ps",
    ]
    for line in (["serve", "net", "--gpu"], ["start"], ["store", "list"]):
        with pytest.raises(click.ClickException):
            _parse(deploy, line)


def _command_lines(text: str) -> Iterator[str]:
    fence = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
    for block in fence.findall(text.replace("\\\n", " ")):
        parts = re.split(r"\s(?:&&|;|\|)\s|\n", block)
        yield from (part.strip() for part in parts if part.strip().startswith("deploy "))
    yield from re.findall(r"`(deploy [^`]+)`", fence.sub("", text))


def _parse(command: click.Command, words: list[str]) -> None:
    """Only the names are looked at: what stands for values may be NAME."""
    context = click.Context(
        command, **deploy.context_settings
    )  # click keeps the names of its help option that it makes first
    if not isinstance(command, click.Group) or not words or words[0].startswith("-"):
        command.make_parser(context).parse_args(list(words))
        return
    found = command.get_command(context, words[0])
    if found is None:
        raise click.UsageError(f"there is no command {words[0]!r}")
    _parse(found, words[1:])
