"""The container engine itself: whether it answers, whether it has an image, and that a container is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from deploy_core import child
from deploy_core.errors import UnavailableError
from deploy_servers.causes import likely_cause
from deploy_servers.container import OWN

_SECONDS = 30.0  # for what an engine knows by itself
_PULL_SECONDS = 1800.0
_ABSENT = ("no such image", "no such container", "no such object", "image not known", "no container with")
_PAUSE = 0.1


def has_image(engine: str, image: str) -> bool:
    """Tell whether the engine has the image. Raises UnavailableError if it does not answer."""
    return _asked(engine, "image", "inspect", "--format={{.Id}}", image) is not None


def require_image(engine: str, image: str, on_event: Callable[[str], None]) -> None:
    """Have the image, pulled if it is not one of ours. Raises UnavailableError."""
    if has_image(engine, image):
        return
    name = Path(engine).name
    if image.startswith(OWN):
        own = image.removeprefix(OWN).partition(":")[0]
        hint = f"{'DEVICE=cuda ' if image.endswith('-cuda') else ''}docker/build {own} builds it (docs/containers.md)"
        raise UnavailableError(f"{name} has no image {image}", hint=hint)
    on_event(f"pulling {image}")
    said = child.output((engine, "pull", "--quiet", image), seconds=_PULL_SECONDS)
    if said.code:
        raise UnavailableError(
            f"{name} has no image {image} and cannot pull it: {said.last}",
            hint=f"`{name} load` takes one from a file, docker/build builds one, --image names another",
        )


def tag(engine: str, image: str, name: str) -> None:
    """Give an image one more name. Raises UnavailableError if it is not there."""
    if _asked(engine, "tag", image, name) is None:
        raise UnavailableError(f"{Path(engine).name} has no image {image} any more", hint="who removed it?")


def remove_image(engine: str, image: str) -> None:
    """Have no image of that name; if that was its last name, it is gone itself. Raises UnavailableError if it stays."""
    _asked(engine, "image", "rm", image)


def main_pid(engine: str, container: str) -> int:
    """Give the id that a container's first process has outside; 0 if it does not run. Raises UnavailableError if the engine does not answer."""
    return int(_asked(engine, "container", "inspect", "--format={{.State.Pid}}", container) or 0)


def exists(engine: str, container: str) -> bool:
    """Tell whether there is a container of that name, running or not. Raises UnavailableError if the engine does not answer."""
    return _asked(engine, "container", "inspect", "--format={{.Id}}", container) is not None


def remove(engine: str, container: str) -> None:
    """Have no container of that name, running or not. Raises UnavailableError if it stays."""
    end = monotonic() + _SECONDS
    # An engine that is removing it already says so, as an error.
    while _asked(engine, "rm", "--force", "--volumes", container, going="already in progress") is not None:
        if not exists(engine, container):
            return
        if monotonic() > end:
            raise UnavailableError(
                f"the container {container} is still there", hint=f"`{Path(engine).name} rm -f {container}` removes it"
            )
        sleep(_PAUSE)


def _asked(engine: str, *words: str, going: str | None = None) -> str | None:
    """Give what the engine says, None for what does not exist. Raises UnavailableError if it refuses."""
    said = child.output((engine, *words), seconds=_SECONDS)
    if said.code == 0 or (going and going in said.err):
        return said.out.strip()
    if any(text in said.err.lower() for text in _ABSENT):
        return None
    name = Path(engine).name
    raise UnavailableError(
        f"{name} {words[0]}: {said.last}", hint=likely_cause(said.err) or f"does `{name} info` answer?"
    )
