"""`deploy.toml`: what the command line says, in a file; every table is one command, every key one of its options."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from deploy_core.errors import UsageError, first_line
from deploy_toolkit.commands import options
from deploy_toolkit.flows.gate.plan import KINDS, Plan, Step

_OURS = ("store", "json", "quiet", "debug", "help", "html", "junit")  # the gate itself says these of every step
_SECONDS = "1h"


@dataclass(frozen=True)
class _Whole:
    """The keys above the tables."""

    store: Path
    out: Path
    timeout: float


def read(path: Path, *, store: Path | None = None, usual: Path | None = None, out: Path | None = None) -> Plan:
    """Read the file; `store` and `out` take the place of its own, `usual` is the store where it names none.

    Raises UsageError, which names the table and the key.

    Paths in it are those as seen from its folder, where the commands are run.
    """
    data = _parsed(path)
    _require_known("the file", data, ("store", "out", "timeout", *KINDS))
    folder = path.resolve().parent
    whole = _Whole(
        (store.resolve() if store else _store(data, folder, usual)),
        (out.resolve() if out else folder / _text(data, "out", "deploy-gate")),
        options.duration("timeout", _text(data, "timeout", _SECONDS)),
    )
    steps = tuple(_steps(data, whole))
    if not steps:
        raise UsageError(f"{path} has nothing to do", hint=f"give it a table such as [[{KINDS[1]}]]")
    return Plan(path, folder, whole.store, whole.out, whole.timeout, steps)


def _store(data: Mapping[str, Any], folder: Path, usual: Path | None) -> Path:
    if usual is not None and "store" not in data:
        return usual.resolve()
    return folder / _text(data, "store", "models")


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {first_line(error)}", hint="name a file as `deploy gate --help` shows"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error


def _text(data: Mapping[str, Any], key: str, usual: str) -> str:
    value = data.get(key, usual)
    if not isinstance(value, str):
        raise UsageError(f"{key} = {value!r} in the file is no text", hint=f'write {key} = "{usual}"')
    return value


def _steps(data: Mapping[str, Any], whole: _Whole) -> Iterator[Step]:
    for kind in KINDS:
        tables = data.get(kind, [])
        tables = [tables] if isinstance(tables, dict) else tables
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise UsageError(f"{kind} in the file is {tables!r}", hint=f"begin a table with [[{kind}]]")
        for number, table in enumerate(tables, start=1):
            yield _step(kind, number, table, whole)


def _step(kind: str, number: int, table: Mapping[str, Any], whole: _Whole) -> Step:
    where = f"[[{kind}]] number {number}"
    command: click.Command = import_module(f"deploy_toolkit.commands.{kind}").command
    words, given = _words(where, command, table)
    name = f"{kind}-{number}"
    page, cases = (whole.out / f"{name}.{ending}" for ending in ("html", "xml"))
    has = {option.name for option in command.params}
    if "html" in has:
        given += ["--html", str(page), "--junit", str(cases)]
    if kind == "check" and "found" not in table:
        given += ["--found", str(whole.out / name)]  # what is kept of the others is kept of these
    if kind == "package" and "out" not in table:
        given += ["--out", str(whole.out)]
    _require_understood(where, command, [*words, *given])
    return Step(
        kind=kind,
        name=name,
        args=(kind, *words, *given),
        models=tuple(_models(kind, where, table, words)),
        page=page if "html" in has else None,
        cases=cases if "html" in has else None,
    )


def _models(kind: str, where: str, table: Mapping[str, Any], words: Sequence[str]) -> Iterator[str]:
    """Give the stored names that a step makes or needs."""
    if kind == "export" and "name" not in table and "@" not in words[0]:
        raise UsageError(f"{where} has no name", hint='say what it is stored as: name = "simplenet"')
    named = [table["name"]] if "name" in table and kind == "export" else words
    yield from (str(word).partition("@")[0] for word in named)


def _words(where: str, command: click.Command, table: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Give a table as the command's arguments, and as its options."""
    known = {_key(parameter): parameter for parameter in command.params}
    _require_known(where, table, tuple(key for key in known if key not in _OURS))
    words: list[str] = []
    given: list[str] = []
    for key, value in table.items():
        parameter = known[key]
        if isinstance(parameter, click.Argument):
            words += _listed(where, key, value)
        else:
            given += _option(where, key, parameter, value)
    return words, given


def _key(parameter: click.Parameter) -> str:
    """Give what a parameter is called in the file: the option without its dashes, an argument by its own name."""
    long = [text for text in parameter.opts if text.startswith("--")]
    return long[0].removeprefix("--") if long else str(parameter.name)


def _option(where: str, key: str, parameter: click.Parameter, value: Any) -> list[str]:
    option = f"--{key}"
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise UsageError(f"{where}: {key} = {value!r} is neither true nor false")
        return [option] if value else []
    if isinstance(value, dict):
        value = [f"{name}={each}" for name, each in _flat(value)]
    values = _listed(where, key, value)
    if not parameter.multiple:
        values = [",".join(values)]
    return [word for each in values for word in (option, each)]


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, str(value).lower() if isinstance(value, bool) else value


def _listed(where: str, key: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str | int | float) and not isinstance(each, bool) for each in values):
        raise UsageError(f"{where}: {key} = {value!r} is neither text nor a number, nor a list of such")
    return [str(each) for each in values]


def _require_known(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key in known:
            continue
        near = get_close_matches(key, known, 1)
        hint = f"is {near[0]} meant?" if near else f"there are {', '.join(known)}"
        raise UsageError(f"{where} has the key {key!r}, which is not known", hint=hint)


def _require_understood(where: str, command: click.Command, args: list[str]) -> None:
    try:
        command.make_context(str(command.name), list(args)).close()
    except click.ClickException as error:
        raise UsageError(
            f"{where}: {error.format_message()}", hint=f"`deploy {command.name} --help` has all options"
        ) from error
