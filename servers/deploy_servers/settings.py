"""What a plan may depend on: found out before, so that plans are pure."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from deploy_core.device import CPU, Device
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError, UsageError
from deploy_servers.container import ENGINES, INSIDE, Contained, Container, run_command, user_of
from deploy_servers.ports import free_ports

# More than nothing, as both engines read it.
_CPUS = re.compile(r"(?=.*[1-9])\d{1,4}(\.\d{1,9})?", re.ASCII)
_MEMORY = re.compile(r"(?=.*[1-9])\d{1,18}(\.\d{1,9})? ?[kmgt]?i?b?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """`folder` is the private one that the run will have; `java` is empty if there is none.

    `container` is None for a process; `baked` says that it becomes an image, which may be published anywhere. `host` is where it answers, as clients see it. `key` opens what a server does for
    nobody but us.
    """

    folder: Path
    store: Path
    http_port: int
    grpc_port: int
    ports: tuple[int, ...] = ()
    host: str = "127.0.0.1"
    python: str = sys.executable
    java: str = ""
    device: Device = CPU
    container: Container | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    key: str = field(default_factory=partial(secrets.token_hex, 16))
    baked: bool = False

    @property
    def inside(self) -> Path:
        """The folder of the run as the server itself sees it."""
        return self.folder if self.container is None else INSIDE

    @property
    def listen(self) -> str:
        """The address that the server itself listens on: a container's is reached only by what is published."""
        return self.host if self.container is None else "0.0.0.0"

    @property
    def all_ports(self) -> tuple[int, ...]:
        """Every port that the server listens on: HTTP, gRPC, and the others."""
        return self.http_port, self.grpc_port, *self.ports

    @property
    def engine(self) -> str:
        """The path of the engine that runs the container; empty for a process."""
        return self.container.engine if self.container else ""

    def endpoint(self, dialect: str, transport: str, model: str, version: int | str | None = None) -> Endpoint:
        """Give where a model answers."""
        port = {"rest": self.http_port, "grpc": self.grpc_port}[transport]
        return Endpoint(dialect, transport, self.host, port, model, None if version is None else str(version))

    def contained(self, what: Contained, *, apart: Mapping[int, str] | None = None) -> tuple[str, ...]:
        """Give the engine's command line that runs this in our container; `apart` are ports that answer at another address."""
        assert self.container is not None
        return run_command(
            self.container,
            what,
            folder=self.folder,
            host=self.host,
            ports=self.all_ports,
            device=self.device,
            apart=apart,
        )


def prepare(
    server: str,
    store: Path,
    *,
    http_port: int | None = None,
    grpc_port: int | None = None,
    extra_ports: int = 0,
    host: str = "127.0.0.1",
    device: Device = CPU,
    container: Container | None = None,
    options: Mapping[str, str] | None = None,
    run: str = "",
) -> Settings:
    """Give the settings of a run on this machine; a port that is None comes from the system. Raises UsageError.

    `run` is its id, empty for a new one.
    """
    if http_port is not None and http_port == grpc_port:
        raise UsageError(f"HTTP and gRPC are both to have port {http_port}", hint="give each a port of its own")
    found = free_ports(2 + extra_ports)
    # Short, and not in the state folder: servers put unix sockets there, whose paths may have 107 bytes at most.
    folder = Path(tempfile.gettempdir()) / f"deploy-{server}-{run or new_run()}"
    return Settings(
        folder=folder,
        store=store.absolute(),
        http_port=http_port or found[0],
        grpc_port=grpc_port or found[1],
        ports=tuple(found[2:]),
        host=host,
        java=find_program("java"),
        device=device,
        container=container,
        options=options or {},
    )


def new_run() -> str:
    """Give an id that no other run has."""
    return uuid.uuid4().hex[:8]


def find_engine(engine: str = "", *, image: str = "", cpus: str = "", memory: str = "") -> Container:
    """Give the container that a run would have; `engine` (docker, podman) is the first that is there if empty.

    Raises UsageError for an engine or a limit that there cannot be, UnavailableError if it is not there.
    """
    if engine and Path(engine).name not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}", hint=f"known: {', '.join(ENGINES)}")
    for option, value, pattern, example in (
        ("cpus", cpus, _CPUS, "2 or 0.5"),
        ("memory", memory, _MEMORY, "2g or 512m"),
    ):
        if value and not pattern.fullmatch(value):
            raise UsageError(f"--{option} is {value!r}", hint=f"give it as {example}")
    found = next((path for name in ((engine,) if engine else ENGINES) if (path := find_program(name))), "")
    if not found:
        none = f"there is no {engine} on the PATH" if engine else "there is neither Docker nor Podman"
        raise UnavailableError(none, hint="install it, name another by --engine, or serve with --in process")
    return Container(found, user_of(os.getuid(), os.getgid()), image, cpus, memory)


def find_program(name: str) -> str:
    """Give the path of a program that a server needs; empty if there is none.

    Java is looked for in `$JAVA_HOME` if that is set, Triton in the Python package pytriton if it is not on the PATH.
    """
    home = os.environ.get("JAVA_HOME") if name == "java" else None
    found = shutil.which(name, path=f"{home}/bin" if home else None)
    return found or (_in_pytriton() if name == "tritonserver" else "")


def _in_pytriton() -> str:
    spec = find_spec("pytriton")
    binary = Path(spec.origin).parent / "tritonserver" / "bin" / "tritonserver" if spec and spec.origin else None
    return str(binary) if binary and binary.is_file() else ""


def check_options(server: str, known: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Raise UsageError for an option that the server does not have."""
    for name in given:
        if name not in known:
            raise unknown_option(server, name, known)


def unknown_option(server: str, name: str, known: Iterable[str], *, listed: Iterable[str] = ()) -> UsageError:
    """Give the error for an option that a server does not have: what may be meant, else those `listed`, else all known."""
    words = {word.replace("-", "_"): word for word in known}
    near = [words[word] for word in get_close_matches(name.replace("-", "_"), words, n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(listed or words.values())}"
    return UsageError(f"server {server} has no option {name!r}", hint=hint)


def own_tls(server: str, name: str) -> UsageError:
    """Give the error for an option by which a server would speak TLS itself, so that we could not ask whether it is right."""
    return UsageError(
        f"option {name} of server {server} is for TLS, which it does not speak itself here",
        hint="leave it out, and put a reverse proxy that speaks TLS (nginx, Caddy) in front of its ports",
    )


def switch_option(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Tell whether something is on: it was set, or the default. Raises UsageError."""
    text = options.get(name, "on" if default else "off")
    if text not in ("on", "off"):
        raise UsageError(f"option {name} is {text!r}", hint="give on or off")
    return text == "on"


def number_option(options: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    """Give a whole number that was set, or the default. Raises UsageError."""
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise UsageError(f"option {name} is {text!r}", hint=f"give a whole number from {least} on")
    return int(text)
