"""What a word on the command line means: a stored version, a file, or an endpoint; and how each becomes a Predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy_core.artifact import Artifact
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature
from deploy_exporters.formats import adopt, hosted, runs_as
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_model_store.version import is_below
from deploy_toolkit.flows.access import USUAL, Access


@dataclass(frozen=True)
class Chosen:
    """One artifact of a stored version, named as reports do: NAME@VERSION/ARTIFACT."""

    version: Version
    artifact: Artifact

    def __str__(self) -> str:
        return f"{self.version}/{self.artifact.name}"


Named = Version | Chosen | Path | Endpoint


@dataclass(frozen=True)
class Subject:
    """One thing to ask; `damage` says how its file differs from what was published.

    `artifact` is the one of `version` that is asked; `unproved` says that nothing could ask it when that was stored.
    Of an endpoint, `artifact` is the variant with coarser numbers that it is known to serve. `server` names the one that
    was started for this `endpoint`.
    """

    name: str
    open: Callable[[], Predictor]
    damage: str = ""
    version: Version | None = None
    artifact: Artifact | None = None
    unproved: bool = False
    endpoint: Endpoint | None = None
    server: str = ""


def find(text: str, shelf: Store) -> Named:
    """Tell which is meant: a URL is an endpoint, a stored name a version or an artifact of it, anything else a file.

    Raises UsageError, also for a word that is both a stored name and a file.
    """
    if Endpoint.looks_like(text):
        return Endpoint.parse(text)
    if found := stored(text, shelf) or _chosen(text, shelf):
        return found
    if Path(text).exists():
        return Path(text)
    raise UsageError(
        f"{text!r} is neither a stored model nor a file nor an endpoint",
        hint=f"the store {shelf.root} holds {', '.join(shelf.names()) or 'nothing'}",
    )


def stored(text: str, shelf: Store) -> Version | None:
    """Give the stored version that a word means, if it means one. Raises UsageError if it is a file as well."""
    if "/" in text or text.partition("@")[0] not in shelf.names():
        return None
    version = shelf.resolve(text)
    _require_no_file(text, version)
    return version


def _chosen(text: str, shelf: Store) -> Chosen | None:
    reference, slash, name = text.rpartition("/")
    if not slash or reference.partition("@")[0] not in shelf.names():
        return None
    version = shelf.resolve(reference)
    if Path(text).exists() and name not in {artifact.name for artifact in version.artifacts}:
        return None
    chosen = Chosen(version, version.artifact(name))
    _require_no_file(text, chosen)
    return chosen


def _require_no_file(text: str, meant: Version | Chosen) -> None:
    if Path(text).exists():
        raise UsageError(
            f"{text!r} is a stored model, and a file", hint=f"./{text} is the file, {meant} the stored one"
        )


def distinct(named: Iterable[Named]) -> list[Named]:
    """Give each thing once, however it is written."""
    found: dict[str, Named] = {}
    for one in named:
        found.setdefault(str(one.resolve() if isinstance(one, Path) else one), one)
    return list(found.values())


def versions(named: Iterable[Named]) -> list[Version]:
    """Give the versions that are stored, each once, also those of which one artifact is named."""
    found = (one.version if isinstance(one, Chosen) else one for one in named if isinstance(one, Version | Chosen))
    return list({str(version): version for version in found}.values())


def endpoints(named: Iterable[Named]) -> list[Endpoint]:
    """Give those that are endpoints."""
    return [one for one in named if isinstance(one, Endpoint)]


def expand(
    named: Named, workers: Workers, *, trust: bool = False, access: Access = USUAL, like: Signature | None = None
) -> Iterator[Subject]:
    """Give every predictor behind a name: each artifact of a version and its reference, else the one thing itself.

    A file that does not tell its signature is taken to have that of `like`.

    Raises UsageError for a file that is no model by its name or its first bytes; whether it is whole shows when it is opened.
    """
    if isinstance(named, Endpoint):
        yield Subject(str(named), partial(access.client, named), endpoint=named)
    elif isinstance(named, Path):
        runs_as(named, trust=trust)
        yield Subject(str(named), partial(_open_stranger, workers, named, trust=trust, like=like))
    elif isinstance(named, Chosen):
        yield from (one for one in _of_version(named.version, workers) if one.artifact == named.artifact)
    else:
        yield from _of_version(named, workers)


def _of_version(version: Version, workers: Workers) -> Iterator[Subject]:
    damages = {damage.file: damage.problem for damage in version.verify()}
    artifacts = {artifact.path: (artifact.name, artifact) for artifact in version.artifacts}
    if version.reference is not None and version.reference.path not in artifacts:
        artifacts[version.reference.path] = ("reference", version.reference)
    unproved = {row["subject"] for row in version.agreement.get("rows", ()) if row.get("unavailable")}
    for name, artifact in artifacts.values():
        damage = _damage(version, artifact, damages)
        # A damaged file is a stranger: nothing that the manifest says vouches for it, least of all for code in it.
        opener = partial(_open_stranger, workers, artifact.path) if damage else partial(hosted, workers, artifact)
        yield Subject(f"{version}/{name}", opener, damage, version, artifact, unproved=name in unproved)


def _open_stranger(workers: Workers, path: Path, *, trust: bool = False, like: Signature | None = None) -> Predictor:
    return hosted(workers, adopt(workers, path, trust=trust, like=like))


def _damage(version: Version, artifact: Artifact, damages: dict[str, str]) -> str:
    inside = artifact.path.relative_to(version.path).as_posix()
    told = [f"{file} is {problem}" for file, problem in damages.items() if is_below(file, (inside,))]
    return "not what was published: " + ", ".join(told) if told else ""
