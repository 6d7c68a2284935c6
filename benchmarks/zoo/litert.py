"""litert-torch on one model of the zoo, in a Python of its own: python -m benchmarks.zoo.litert MODULE:FUNCTION FILE."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def main(location: str, path: str) -> None:
    """Convert with the example's sizes: every form of its `dynamic_shapes` fails on models as these."""
    import litert_torch

    module, _, function = location.partition(":")
    model, example = getattr(import_module(module), function)()
    if isinstance(example, dict):
        converted: Any = litert_torch.convert(model.eval(), sample_kwargs=example)
    else:
        converted = litert_torch.convert(model.eval(), tuple(example))
    converted.export(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
