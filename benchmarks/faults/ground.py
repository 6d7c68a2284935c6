"""The ground in which faults are planted: a store with the honest models, and a folder for what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy_core import state
from deploy_core.ranges import Ranges
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.flows import export

_TEXT = ("tokens:int64[batch,steps]", "mask:int64[batch,steps]")


@dataclass(frozen=True)
class Honest:
    """How one honest model is exported: its formats and variants; those of a quick run are few."""

    formats: tuple[str, ...]
    quick: tuple[str, ...]
    quantize: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[int, int]] | None = None


_BOTH = ("torchscript", "onnx")
MODELS: Mapping[str, Honest] = {
    "scorer": Honest((*_BOTH, "mar", "savedmodel", "tflite"), (*_BOTH, "mar")),
    "vision": Honest((*_BOTH, "savedmodel", "tflite"), _BOTH, ("float16", "dynamic-int8", "int8")),
    "reader": Honest(_BOTH, _BOTH, inputs=_TEXT, ranges={"steps": (1, 64)}),
    "counter": Honest(_BOTH, _BOTH),
    "heads": Honest((*_BOTH, "mar"), _BOTH),
    "photo": Honest(_BOTH, _BOTH),
    "forecast": Honest(_BOTH, _BOTH),
    "sensor": Honest(_BOTH, _BOTH),
}


@dataclass(frozen=True)
class Ground:
    """A folder with the store `models` and room for faulty files; with `quick`, only what a quick run needs."""

    folder: Path
    quick: bool = False

    @property
    def store(self) -> Path:
        """The store with the honest models."""
        return self.folder / "models"

    @cached_property
    def workers(self) -> Workers:
        """The workers that make files, or run them for the usual check."""
        return Workers(state.logs())

    @cached_property
    def faulty(self) -> Path:
        """Where faulty files are written."""
        place = self.folder / "faulty"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def prepare(self, name: str) -> None:
        """Export one honest model, unless that was done."""
        honest = MODELS[name]
        if name in Store(self.store).names():
            return
        request = export.Request(
            f"benchmarks.faults.models:{name}",
            honest.quick if self.quick else honest.formats,
            name=name,
            inputs=tuple(map(TensorSpec.parse, honest.inputs)),
            quantize=() if self.quick else honest.quantize,
            calibration=self.example(name) if honest.quantize and not self.quick else None,
            ranges=_ranges(honest),
        )
        export.export(request, store=self.store)

    def version(self, name: str) -> Version:
        """Give the stored version of a model."""
        return Store(self.store).resolve(name)

    def artifact(self, name: str, format_: str) -> Path:
        """Give an honest file."""
        return self.version(name).artifact(format_).path

    def signature(self, name: str) -> Signature:
        """Give the signature of a model."""
        return self.version(name).signature

    def model(self, name: str, seed: int = 0) -> Any:
        """Give the honest model in memory, or with another seed one that was trained anew."""
        return _source(name, seed)[0]

    def example(self, name: str) -> Tensors:
        """Give the example inputs that it was exported with."""
        return dict(_source(name, 0)[1])


def _source(name: str, seed: int) -> Any:
    from benchmarks.faults import models

    return getattr(models, name)(seed)


def _ranges(honest: Honest) -> Ranges:
    return dict(honest.ranges or {})
