"""What `deploy check` is asked."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy_agreement import DERIVED, Terms
from deploy_core.errors import InputError, UsageError
from deploy_core.signature import Tensors
from deploy_exporters.sources import Source
from deploy_toolkit.flows.access import USUAL, Access

FOUND = Path("deploy-check")  # where worst inputs and reproductions are saved, unless told otherwise


@dataclass(frozen=True)
class Request:
    """What to compare; the first stored version (or `against`) is the reference, else the first subject.

    `against` may be a source, too, as an export takes it, with an `example` of its inputs where it needs one.
    `inputs` are the user's own, by the name of the file that they are from; they are asked beside the golden ones.
    `trust` lets files that are not stored run code of their own; `access` is for the endpoints among the subjects.
    `search` are seconds to look for the worst input of each subject, `seed` that of everything drawn; `raw` are files of
    the bytes that a client would send, for a model that is stored with its preprocessing, and `preprocess` names the function that
    training used for them. What is found to be kept, worst
    inputs and reproductions, is saved below `found`.
    """

    subjects: tuple[str, ...]
    servers: tuple[str, ...] = ()
    against: str | Source | None = None
    inputs: Mapping[str, Tensors] = field(default_factory=dict)
    atol: float | None = None
    rtol: float | None = None
    trust: bool = False
    access: Access = USUAL
    search: float = 0.0
    localise: bool = False
    raw: tuple[Path, ...] = ()
    seed: int = 0
    found: Path = FOUND
    example: Tensors | None = None
    preprocess: str = ""

    def __post_init__(self) -> None:
        """Raise UsageError for a tolerance or a time that is no finite number, as all would agree, and for a folder that is none."""
        for name in ("atol", "rtol", "search"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value:g}", hint="give a finite number, 0 or more")
        if self.found.exists() and not self.found.is_dir():
            raise UsageError(
                f"{self.found} is no folder", hint="name a folder for what is found, which may be a new one"
            )

    def terms(self, own: Terms = DERIVED) -> Terms:
        """Give the terms that a subject is judged on: its own, with what was asked for in their place.

        NaN is right where NaN is wanted: golden outputs have none, but the right answers to a user's own inputs may.
        """
        return replace(own, atol=self.atol, rtol=self.rtol, nan_agrees=True)


@contextmanager
def inputs_from(name: str) -> Generator[None]:
    """Name the file that inputs are from where they do not fit the model. Raises InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}", hint=error.hint) from error
