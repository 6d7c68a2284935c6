"""The options of every command that talks to endpoints: deadline, headers, token, TLS."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError

if TYPE_CHECKING:
    from deploy_clients import Tls
    from deploy_toolkit.flows.access import Access

_HEADER = "--header"
_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--timeout",
        type=float,
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="For one request to an endpoint, as a whole.",
    ),
    click.option(
        _HEADER,
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'|@FILE",
        help="Sent to the endpoints that are named; a FILE has one a line.",
    ),
    click.option("--token-file", type=_FILE, metavar="FILE", help="A token to send, as `Authorization: Bearer`."),
    click.option("--token-env", metavar="VARIABLE", help="The environment variable that holds the token."),
    click.option("--ca", type=_FILE, metavar="FILE.pem", help="Whom to trust instead of the system's authorities."),
    click.option("--certificate", type=_FILE, metavar="FILE.pem", help="Shown to a server that asks who we are."),
    click.option("--key", type=_FILE, metavar="FILE.pem", help="The certificate's key, if it lies apart."),
)


def reaching(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how endpoints are reached; the command gets them as one `Access`, named `access`."""

    @wraps(function)
    def with_access(*args: Any, timeout: float, headers: tuple[str, ...], **options: Any) -> Any:
        token = _token(options.pop("token_file"), options.pop("token_env"))
        tls = _tls(**{name: options.pop(name) for name in ("ca", "certificate", "key")})
        if "authorization" in _headers(headers, token):
            _warn_of_plain(options)
        return function(*args, access=_access(timeout, _headers(headers, token), tls), **options)

    for option in reversed(_OPTIONS):
        with_access = option(with_access)
    return with_access


def _warn_of_plain(options: Mapping[str, Any]) -> None:
    """Say on stderr where a token would go so that others can read it: without TLS, to another machine."""
    words = chain.from_iterable(value if isinstance(value, tuple) else (value,) for value in options.values())
    for word in dict.fromkeys(words):
        if isinstance(word, str) and Endpoint.looks_like(word):
            endpoint = Endpoint.parse(word)
            if not (endpoint.tls or _is_here(endpoint.host)):
                click.echo(
                    f"warning: the token goes to {endpoint} as plain text, for everybody on the way to read: "
                    f"+{endpoint.transport}s:// is with TLS",
                    err=True,
                )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _access(timeout: float, headers: dict[str, str], tls: Tls | None) -> Access:
    from deploy_toolkit.flows.access import Access

    return Access(timeout, headers, tls)


def line(arguments: Iterable[str]) -> str:
    """Give a command line as reports may tell it: without the values of headers, which may be secret."""
    told, before = ["deploy"], ""
    for word in arguments:
        option, equals, value = word.partition("=")
        if before == _HEADER:
            told.append(_hidden(word))
        else:
            told.append(f"{option}={_hidden(value)}" if equals and option == _HEADER else word)
        before = word
    return shlex.join(told)


def _hidden(header: str) -> str:
    return header if header.startswith("@") else header.partition(":")[0] + ": …"


def _tls(**files: Path | None) -> Tls | None:
    if not any(files.values()):
        return None
    from deploy_clients import Tls

    return Tls(**files)


def _headers(given: Iterable[str], token: str) -> dict[str, str]:
    """Read headers. Raises UsageError that shows none of what may be secret."""
    found = {"authorization": f"Bearer {token}"} if token else {}
    for line in _lines(given):
        name, colon, value = line.partition(":")
        key = name.strip().lower()
        if not colon or not key:
            raise UsageError("a --header is not NAME: VALUE", hint="write --header 'X-Team: vision'")
        if key in found:
            hint = "give it once" if key != "authorization" else "give a token or the header, once"
            raise UsageError(f"header {name.strip()} is given twice", hint=hint)
        found[key] = value.strip()
    return found


def _lines(given: Iterable[str]) -> Iterator[str]:
    for text in given:
        if text.startswith("@"):
            yield from filter(None, map(str.strip, _text(Path(text[1:]), "file of headers").splitlines()))
        else:
            yield text


def _token(file: Path | None, variable: str | None) -> str:
    if file and variable:
        raise UsageError("--token-file and --token-env both say which token", hint="give one of them")
    if file:
        return _sendable(_text(file, "token file"), f"the token file {file}")
    if variable:
        return _sendable(os.environ.get(variable, ""), f"the environment variable {variable}")
    return ""


def _sendable(text: str, where: str) -> str:
    token = text.strip()
    if not token:
        raise UsageError(f"{where} holds no token", hint="it holds the token and nothing else")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(f"what {where} holds cannot be sent", hint="a token is one word of printable ASCII")
    return token


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise UsageError(f"the {what} {path} cannot be read: {error.strerror}", hint="name a file of text") from None
