"""What is stored of a model's preprocessing: declared steps, labels, and answers of the training side for some raw files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.numpy

from deploy_agreement.skew.steps import Prepared
from deploy_core import preprocessing
from deploy_core.errors import UsageError
from deploy_core.preprocessing import Raw
from deploy_core.signature import Signature
from deploy_exporters import sources
from deploy_exporters.packaging.labels import read_labels
from deploy_exporters.worker import Workers
from deploy_model_store import Version

FOLDER = "preprocessing"
ANSWERS = f"{FOLDER}/training.safetensors"
_MOST_BYTES = 1 << 25  # of a raw file


Named = str | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Given:
    """What the user says: `preprocess` are files of steps, `module:attribute` and lists; `labels` is [OUTPUT=]FILE."""

    preprocess: tuple[Named, ...] = ()
    labels: str = ""
    files: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.preprocess or self.labels or self.files)

    @classmethod
    def of(cls, preprocess: str | Sequence[Any], labels: Path | str = "", files: Sequence[Path | str] = ()) -> Given:
        """Read what a notebook says: a list of steps, which are mappings, is one thing; a list of others is several."""
        one = isinstance(preprocess, str) or any(isinstance(each, Mapping) for each in preprocess)
        return cls((preprocess,) if one else tuple(preprocess), str(labels), tuple(map(Path, files)))


@dataclass(frozen=True)
class Kept:
    """What is stored with a version: the manifest's two fields, and files to lie below the version's folder."""

    preprocessing: dict[str, Any] | None = None
    labels: dict[str, Any] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the files."""
        for name, body in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(body)

    @property
    def document(self) -> dict[str, Any] | None:
        """What an archive carries, None if it takes no raw bytes."""
        raw = preprocessing.raw_of(self.preprocessing, self.labels)
        return raw.to_json() if raw else None


def kept(given: Given, signature: Signature, workers: Workers) -> Kept:
    """Give what is to be stored. Raises UsageError for what does not fit the model."""
    if not given:
        return Kept()
    steps, named, training = _read(given.preprocess, workers)
    if given.files and training is None:
        raise UsageError(
            "--raw keeps answers of the training side, which is not named",
            hint="give --preprocess FILE.py:FUNCTION, too",
        )
    raw = preprocessing.fitted(steps, named, signature) if steps else None
    answered = asked(training, named_bytes(given.files), workers) if training else []
    document = {"input": raw.input, "steps": [dict(step) for step in raw.steps]} if raw else {"input": "", "steps": []}
    entries = [_entry(index, one) for index, one in enumerate(answered)]
    told = {"callable": training.location if training else "", "files": entries}
    files = {entry["file"]: one.data for entry, one in zip(entries, answered, strict=True)}
    if answered:
        files[ANSWERS] = safetensors.numpy.save({str(i): one.last for i, one in enumerate(answered)})
    return Kept({**document, "training": told} if steps or training else None, _labels(given.labels, signature), files)


def training_of(texts: Sequence[Named], workers: Workers) -> sources.Source | None:
    """Give the training side that is named. Raises UsageError if steps are."""
    steps, _, training = _read(texts, workers)
    if steps:
        raise UsageError(
            f"{' '.join(map(str, texts))} are steps, and the version has its own",
            hint="name the function that training used",
        )
    return training


def asked(training: sources.Source, bodies: Sequence[tuple[str, bytes]], workers: Workers) -> list[Prepared]:
    """Have the training side prepare files, given as their names and what is in them."""
    found = workers.get("source").call("deploy_exporters.preparing:prepared", training, bodies)
    return [Prepared(name, data, tuple(stages)) for (name, data), stages in zip(bodies, found, strict=True)]


def stored(version: Version) -> list[Prepared]:
    """Give the answers of the training side that a version keeps. Raises TamperedError for a damaged file."""
    training = (version.record.preprocessing or {}).get("training") or {}
    if not training.get("files"):
        return []
    version.require_files(FOLDER)
    arrays = safetensors.numpy.load_file(version.path / ANSWERS)
    return [
        Prepared(entry["name"], (version.path / entry["file"]).read_bytes(), (("as stored", arrays[str(index)]),))
        for index, entry in enumerate(training["files"])
    ]


def keeps_raw(version: Version | None) -> bool:
    """Tell whether a version keeps answers of the training side, and steps to hold them to."""
    told = (version.record.preprocessing if version else None) or {}
    return bool(told.get("steps") and (told.get("training") or {}).get("files"))


def raw_of(version: Version) -> Raw | None:
    """Give how a version prepares raw bytes, None if it does not."""
    return preprocessing.raw_of(version.record.preprocessing, version.record.labels)


def named_bytes(files: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Read raw files. Raises UsageError."""
    return [(path.name, read_raw(path)) for path in files]


def read_raw(path: Path) -> bytes:
    """Read a raw file. Raises UsageError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="--raw takes files") from error
    if not data or len(data) > _MOST_BYTES:
        raise UsageError(f"{path} has {len(data)} bytes", hint=f"raw files have 1 to {_MOST_BYTES}")
    return data


def _read(texts: Sequence[Named], workers: Workers) -> tuple[tuple[dict[str, Any], ...], str, sources.Source | None]:
    steps: tuple[dict[str, Any], ...] = ()
    named, training = "", None
    for text in texts:
        if not isinstance(text, str):
            found, named = preprocessing.parsed(text, "preprocess")
        elif Path(text).suffix in (".toml", ".json"):
            found, named = preprocessing.read(Path(text))
        else:
            source = sources.find(text)
            plain = workers.get("source").call("deploy_exporters.preparing:looked_up", source)
            if plain is None:
                training = _only(training, source)
                continue
            found, _ = preprocessing.parsed(plain, text)
        if steps:
            raise UsageError(f"{text} has steps, and so has what was named before", hint="name one list of steps")
        steps = found
    return steps, named, training


def _only(before: sources.Source | None, source: sources.Source) -> sources.Source:
    if before is not None:
        raise UsageError(f"{before.location} and {source.location} are two functions", hint="name one")
    return source


def _entry(index: int, one: Prepared) -> dict[str, str]:
    suffix = Path(one.name).suffix
    suffix = suffix if suffix.isascii() and len(suffix) < 8 else ""
    return {"name": one.name, "file": f"{FOLDER}/{index}{suffix}", "sha256": hashlib.sha256(one.data).hexdigest()}


def _labels(given: str, signature: Signature) -> dict[str, Any] | None:
    if not given:
        return None
    labels = read_labels(given, signature)
    names = labels.content.decode().splitlines()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"the label {twice[0]!r} is there twice", hint="an answer is {label: score}: make them distinct"
        )
    return {"output": labels.output, "names": names}
