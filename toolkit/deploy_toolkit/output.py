"""What a command prints: one JSON document on stdout for machines, everything for people on stderr."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any

import click

from deploy_toolkit import documents

OnEvent = Callable[[str], None]
_UNHEARD = (errno.EPIPE, errno.EIO)  # a pipe that nobody reads, a terminal that was closed


def silent(event: str) -> None:
    """Hear of an event and say nothing."""


def tell(text: str) -> None:
    """Say something on stderr. If whoever reads it has gone, that is no error: a server goes on without."""
    try:
        click.echo(text, err=True)
    except OSError as error:
        if error.errno not in _UNHEARD:
            raise
        # Python would try again at its end, and change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


@dataclass(frozen=True)
class Output:
    """How this run of a command speaks, and which store it works on."""

    store: Path
    as_json: bool
    quiet: bool

    @cached_property
    def console(self) -> Any:
        """The terminal for people: tables on stdout, or on stderr if stdout holds a document."""
        from rich.console import Console

        wide = None if sys.stderr.isatty() or sys.stdout.isatty() else 160
        return Console(stderr=self.as_json, width=wide, highlight=False)

    def say(self, text: str) -> None:
        """Tell people on stderr, unless `--quiet`."""
        if not self.quiet:
            tell(text)

    def show(self, document: Mapping[str, Any], renderable: Any) -> None:
        """Give the result: the document with `--json`, else the table (also with `--quiet`: it is the result)."""
        if self.as_json:
            click.echo(documents.text(document))
            return
        from rich.text import Text

        # A command that is broken into lines is none any more; tables have to be.
        self.console.print(renderable, soft_wrap=isinstance(renderable, Text | str))

    @contextmanager
    def progress(self) -> Generator[OnEvent]:
        """Give a function that hears what happens: a spinner on a terminal, else a line each on stderr."""
        if self.quiet or not sys.stderr.isatty():
            yield self.say
            return
        from rich.console import Console

        with Console(stderr=True).status("…") as status:
            yield status.update


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has; the command gets them as one `Output`, its first argument."""

    @click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="DEPLOY_STORE",
        default=Path("models"),
        show_default="$DEPLOY_STORE, else ./models",
        help="The folder of models.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    @click.option("--quiet", is_flag=True, help="Say nothing but the result.")
    @click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
    @wraps(function)
    def with_output(store: Path, as_json: bool, quiet: bool, **options: Any) -> Any:
        return function(Output(store, as_json, quiet), **options)

    return with_output
