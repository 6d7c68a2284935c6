"""A server's command inside a container, by the command line of Docker or Podman."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from deploy_core.device import CPU, Device
from deploy_core.endpoint import address_of

ENGINES = ("docker", "podman")
OWN = "deploy-toolkit/"  # images of this name are built where they are used
NOBODY = (65532, 65532)  # user and group in a container that root starts
INSIDE = Path("/deploy")  # where the run's own folder is seen, read-only


@dataclass(frozen=True)
class Container:
    """What a container run may depend on: `engine` is the path of docker or podman, `user` is UID:GID.

    `image` is empty where the server's own is meant; `cpus` and `memory` are limits as the engine reads them.
    """

    engine: str
    user: str
    image: str = ""
    cpus: str = ""
    memory: str = ""


@dataclass(frozen=True)
class Contained:
    """What is to run inside: `writes` are folders in memory that it may write to, `keeps` such ones of the run's folder.

    Everything else is read-only. `shm` is the size of /dev/shm, empty for the engine's own.
    """

    image: str
    command: Sequence[str]
    env: Mapping[str, str]
    writes: Sequence[str] = ("/tmp",)
    entrypoint: str | None = None
    keeps: Sequence[str] = ()
    shm: str = ""


def run_command(
    container: Container,
    what: Contained,
    *,
    folder: Path,
    host: str,
    ports: Sequence[int],
    device: Device = CPU,
    apart: Mapping[int, str] | None = None,
) -> tuple[str, ...]:
    """Give the engine's command line: in the foreground, published at `host`, named and labelled after `folder`.

    Inside and outside the ports have the same numbers, so that what a server is told is what its clients use. `apart` are
    ports that are published at an address of their own.
    """
    parts = [container.engine, "run", "--rm", f"--name={folder.name}", "--label=deploy-toolkit", *locked(container)]
    parts += [f"--tmpfs={path}" for path in what.writes]
    parts += [f"--volume={folder}:{INSIDE}:ro", *(f"--volume={folder}/{name}:{INSIDE}/{name}" for name in what.keeps)]
    parts += [*(f"--publish={address_of((apart or {}).get(port, host), port)}:{port}" for port in ports)]
    parts += [f"--{name}={value}" for name, value in (("cpus", container.cpus), ("memory", container.memory)) if value]
    parts += [f"--shm-size={what.shm}"] if what.shm else []
    parts += _gpus(container.engine, device)
    parts += [f"--env={name}={value}" for name, value in what.env.items()]
    parts += [] if what.entrypoint is None else [f"--entrypoint={what.entrypoint}"]
    return (*parts, container.image or what.image, *what.command)


def locked(container: Container) -> list[str]:
    """Give the options with which it can change nothing, and has no rights but those of its user."""
    parts = ["--init", f"--user={container.user}", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    # Podman of an ordinary user numbers users anew, and would make theirs a stranger to their own files.
    theirs = Path(container.engine).name == "podman" and container.user != user_of(*NOBODY)
    return [*parts, "--userns=keep-id"] if theirs else parts


def user_of(uid: int, gid: int) -> str:
    """Give the user that a container runs as: the caller's own, so that files of theirs can be read; never root."""
    return ":".join(map(str, (uid, gid) if uid else NOBODY))


def own_image(name: str, device: Device = CPU) -> str:
    """Give the image of ours for that device, as docker/build calls it."""
    return f"{OWN}{name}:{version('deploy-toolkit')}" + ("-cuda" if device.on_gpu else "")


def image_of(command: Sequence[str]) -> str:
    """Give the image that a command of `run_command` runs."""
    return next(part for part in command[2:] if not part.startswith("-"))


def contained_of(command: Sequence[str]) -> Contained:
    """Give what a command of `run_command` runs inside."""
    at = next(index for index, part in enumerate(command) if index > 1 and not part.startswith("-"))
    options = [part.removeprefix("--").partition("=") for part in command[2:at]]
    return Contained(
        image=command[at],
        command=tuple(command[at + 1 :]),
        env=dict(_pair(value) for name, _, value in options if name == "env"),
        writes=tuple(value for name, _, value in options if name == "tmpfs"),
        keeps=tuple(value.rpartition("/")[2] for name, _, value in options if name == "volume" and value[-3:] != ":ro"),
        entrypoint=next((value for name, _, value in options if name == "entrypoint"), None),
        shm=next((value for name, _, value in options if name == "shm-size"), ""),
    )


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _gpus(engine: str, device: Device) -> list[str]:
    if not device.on_gpu:
        return []
    indexes = ",".join(map(str, device.indexes))
    if Path(engine).name == "podman":  # knows GPUs by CDI only
        named = [f"nvidia.com/gpu={index}" for index in device.indexes] or ["nvidia.com/gpu=all"]
        return [f"--device={name}" for name in named]
    return [f'--gpus="device={indexes}"' if indexes else "--gpus=all"]
