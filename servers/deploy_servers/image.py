"""A version baked into an image of its own: what `docker build` would be given, as plain data, and the function that builds."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deploy_core import child, state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError, UsageError
from deploy_core.signals import postponed
from deploy_servers import engines
from deploy_servers.causes import likely_cause
from deploy_servers.container import INSIDE, NOBODY, Contained, Container, contained_of, locked, user_of
from deploy_servers.engines import require_image
from deploy_servers.furnishing import open_to_all, put_files, put_links
from deploy_servers.launch import Launch
from deploy_servers.ports import free_ports

USER = user_of(*NOBODY)
_TAG = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w][\w.-]{0,127})?")
_CONTENT = "deploy"  # the folder in the build's context that becomes INSIDE
_BUILD_SECONDS = 3600.0
_DRAFT = "deploy-unproved"  # what images are called until they are proved


@dataclass(frozen=True)
class Baking:
    """An image to be, on top of `base`: `launch` is what runs in it, on the ports that its server usually has."""

    tag: str
    base: str
    launch: Launch
    dockerfile: str
    build: tuple[str, ...]
    run: tuple[str, ...]


def bake(launch: Launch, tag: str, *, base: str = "") -> Baking:
    """Say how an image comes to be that runs what `launch`, a plan for a container, runs. Raises UsageError for the tag.

    Its folder is copied to where the container would have seen it; `base` takes the place of the image of the plan.
    """
    if not _TAG.fullmatch(tag):
        raise UsageError(f"{tag!r} is no name of an image", hint="--tag takes NAME:TAG in small letters")
    what = contained_of(launch.command)
    start = base or what.image
    return Baking(
        tag=tag,
        base=start,
        launch=launch,
        dockerfile=_dockerfile(launch, replace(what, image=start)),
        build=(launch.engine, "build", "--network=none", "--pull=false", f"--tag={tag}", str(launch.folder)),
        run=(launch.engine, "run", "--rm", *_run(launch, what, USER, {port: port for port in launch.ports}), tag),
    )


def build(baking: Baking, on_event: Callable[[str], None], *, tag: str = "") -> None:
    """Build the image, under another name if `tag` says one. Raises UnavailableError if the engine cannot."""
    launch = baking.launch
    require_image(launch.engine, baking.base, on_event)
    on_event(f"building {baking.tag}")
    what, log = f"the build of {baking.tag}", state.logs() / f"{launch.folder.name}.log"
    # Before the folder is there: whenever we are killed, it tells what there is to tidy up.
    command = tuple(f"--tag={tag or baking.tag}" if part == f"--tag={baking.tag}" else part for part in baking.build)
    record = state.write_record(what, command, log, {"folder": str(launch.folder)})
    try:
        _fill(baking)
        _build(replace(baking, build=command), what, log, record)
    finally:
        shutil.rmtree(launch.folder, ignore_errors=True)
        record.unlink(missing_ok=True)


@contextmanager
def draft(baking: Baking, on_event: Callable[[str], None]) -> Generator[Launch]:
    """Build the image, give the launch that is to prove it, and call it by its tag when the block has ended well.

    Until then it has a name of its own, and what had the tag before still has it; afterwards that name is gone, and so is
    an image that failed. Raises UnavailableError if the engine cannot.
    """
    engine, name = baking.launch.engine, f"{_DRAFT}:{baking.launch.folder.name}"
    try:
        build(baking, on_event, tag=name)
        yield trial(baking, tag=name)
        engines.tag(engine, name, baking.tag)
    finally:
        with postponed():
            engines.remove_image(engine, name)


def trial(baking: Baking, *, tag: str = "") -> Launch:
    """Give the launch of the finished image, published on free ports: what it answers there proves it."""
    launch = baking.launch
    folder = Path(tempfile.gettempdir()) / f"{launch.folder.name}-trial"
    outside = dict(zip(launch.ports, free_ports(len(launch.ports)), strict=True))
    what = contained_of(launch.command)
    kept = [f"--volume={folder}/{name}:{INSIDE}/{name}" for name in what.keeps]
    named = [f"--name={folder.name}", "--label=deploy-toolkit"]
    # As the caller, not as USER: what it keeps is to be written to, and read, in a folder of the caller's.
    options = _run(launch, replace(what, keeps=()), user_of(os.getuid(), os.getgid()), outside)
    return replace(
        launch,
        command=(launch.engine, "run", "--rm", *named, *options, *kept, tag or baking.tag),
        folder=folder,
        ports=tuple(outside.values()),
        endpoints=tuple(_moved(endpoint, outside) for endpoint in launch.endpoints),
        management=tuple(_moved(endpoint, outside) for endpoint in launch.management),
        files={},
        links={},
        facts={name: value.replace(str(launch.folder), str(folder)) for name, value in launch.facts.items()},
    )


def _moved(endpoint: Endpoint, outside: Mapping[int, int]) -> Endpoint:
    return replace(endpoint, port=outside[endpoint.port])


def _dockerfile(launch: Launch, what: Contained) -> str:
    lines = [f"FROM {what.image}", f"LABEL deploy-toolkit.model={_quoted(launch.name)}"]
    lines += [f"LABEL deploy-toolkit.server={_quoted(launch.server)}"]
    lines += [f"COPY --chown={USER} {_CONTENT}/ {INSIDE}/"]
    lines += [f"ENV {name}={_quoted(value)}" for name, value in what.env.items()]
    lines += [f"USER {USER}", f"EXPOSE {' '.join(map(str, launch.ports))}"]
    if what.entrypoint is not None:
        lines.append(f"ENTRYPOINT {json.dumps([what.entrypoint] if what.entrypoint else [])}")
    return "\n".join([*lines, f"CMD {json.dumps(list(what.command))}", ""])


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'


def _run(launch: Launch, what: Contained, user: str, published: Mapping[int, int]) -> list[str]:
    parts = [*locked(Container(launch.engine, user)), *(f"--tmpfs={path}" for path in what.writes)]
    parts += [f"--tmpfs={INSIDE}/{name}:uid={NOBODY[0]},gid={NOBODY[1]},mode=0700" for name in what.keeps]
    parts += [f"--shm-size={what.shm}"] if what.shm else []
    parts += [part for part in launch.command if part.startswith(("--gpus=", "--device=nvidia.com/"))]
    return parts + [f"--publish=127.0.0.1:{outer}:{inner}" for inner, outer in published.items()]


def _fill(baking: Baking) -> None:
    launch = baking.launch
    content = launch.folder / _CONTENT
    content.mkdir(mode=0o755, parents=True)
    put_files(content, launch.files)
    put_links(content, launch.links)
    for name in contained_of(launch.command).keeps:
        (content / name).mkdir()
    open_to_all(content)
    put_files(launch.folder, {"Dockerfile": baking.dockerfile})


def _build(baking: Baking, what: str, log: Path, record: Path) -> None:
    # The classic builder: the other one is not in every engine.
    process = child.start(what, baking.build, log=log, env={"DOCKER_BUILDKIT": "0"}, record=record)
    try:
        code = process.wait(_BUILD_SECONDS)
    finally:
        process.stop()
    if code:
        tail = process.log_tail(200)
        error = UnavailableError(
            f"{baking.tag} could not be built: {process.death()}", hint=likely_cause(tail) or f"its log is {log}"
        )
        error.add_note(f"the end of {log}:\n" + "\n".join(tail.splitlines()[-20:]))
        raise error
    log.unlink(missing_ok=True)
