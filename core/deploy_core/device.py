"""Where a model runs: `cpu`, or `cuda` with the indexes of its GPUs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy_core.errors import UsageError

_TEXT = re.compile(r"cpu|cuda(:\d+(,\d+)*)?")


@dataclass(frozen=True)
class Device:
    """`indexes` are GPUs as nvidia-smi counts them; `cuda` without any means all that there are."""

    kind: str = "cpu"
    indexes: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(map(str, self.indexes))}" if self.indexes else self.kind

    @property
    def on_gpu(self) -> bool:
        """Whether it is a GPU at all."""
        return self.kind == "cuda"

    @property
    def env(self) -> Mapping[str, str]:
        """What shows a process these GPUs and no other; for `cpu` none, so that none is taken unasked."""
        if not self.on_gpu:
            return {"CUDA_VISIBLE_DEVICES": "-1"}
        return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.indexes))} if self.indexes else {}

    @classmethod
    def parse(cls, text: str) -> Device:
        """Read `cpu`, `cuda` or `cuda:0,1`. Raises UsageError."""
        if not _TEXT.fullmatch(text):
            raise UsageError(f"{text!r} is no device", hint="give cpu, cuda, cuda:0 or cuda:0,1")
        kind, _, numbers = text.partition(":")
        indexes = tuple(int(number) for number in numbers.split(",") if number)
        if len(set(indexes)) < len(indexes):
            raise UsageError(f"{text!r} names a GPU twice", hint="give each index once")
        return cls(kind, indexes)


CPU = Device()
