"""Where a served model answers, as one URL: `DIALECT+rest|grpc[s]://HOST:PORT/MODEL[@VERSION|@LABEL]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from deploy_core.errors import UsageError

DIALECTS = ("tfserving", "oip", "torchserve")
TRANSPORTS = ("rest", "grpc")
_URL = re.compile(
    r"^(?P<dialect>[a-z0-9]+)\+(?P<transport>rest|grpc)(?P<tls>s?)://"
    r"(?P<host>\[[0-9a-fA-F:]+\]|[^\s:/@\[\]]+):(?P<port>\d{1,5})/(?P<model>[^@/]+)(?:@(?P<version>[^@/]+))?$"
)
_SECRET = re.compile(r"://[^/]*@")
_HINT = "write DIALECT+rest|grpc[s]://HOST:PORT/MODEL[@VERSION|@LABEL], e.g. tfserving+grpc://127.0.0.1:8500/simplenet"


def address_of(host: str, port: int) -> str:
    """Give HOST:PORT as URLs have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class Endpoint:
    """One model on one server in one dialect over one transport; `version` is an integer's digits or a label.

    Without a model it is the server itself, as its management sees it.
    """

    dialect: str
    transport: str
    host: str
    port: int
    model: str
    version: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        scheme = f"{self.dialect}+{self.transport}{'s' if self.tls else ''}"
        at = f"@{quote(self.version, safe='')}" if self.version else ""
        path = f"/{quote(self.model, safe='')}{at}" if self.model else ""
        return f"{scheme}://{self.address}{path}"

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return address_of(self.host, self.port)

    @property
    def label(self) -> str | None:
        """The version if it is a label, else None."""
        number = self.version is None or (self.version.isascii() and self.version.isdigit())
        return None if number else self.version

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read an endpoint URL. Raises UsageError."""
        if _SECRET.search(url):  # what stands there is not for the eyes of whoever reads the error
            raise UsageError("an endpoint's URL has no place for a user or a password, which headers carry", hint=_HINT)
        match = _URL.match(url)
        if match is None:
            raise UsageError(f"{url!r} is not an endpoint", hint=_HINT)
        if match["dialect"] not in DIALECTS:
            raise UsageError(f"unknown dialect {match['dialect']!r}", hint=f"the dialects are {', '.join(DIALECTS)}")
        if not 0 < int(match["port"]) < 65536:
            raise UsageError(f"{match['port']} is no port", hint=_HINT)
        version = match["version"]
        return cls(
            dialect=match["dialect"],
            transport=match["transport"],
            host=match["host"].strip("[]"),
            port=int(match["port"]),
            model=unquote(match["model"]),
            version=unquote(version) if version else None,
            tls=bool(match["tls"]),
        )

    @staticmethod
    def looks_like(text: str) -> bool:
        """Tell whether a command-line argument is meant as an endpoint rather than a name or a file."""
        return "://" in text
