"""torch.export programs, run by torch."""

from __future__ import annotations

from pathlib import Path

from deploy_core.predictor import Predictor
from deploy_core.signature import Signature
from deploy_exporters.formats.option import Options
from deploy_exporters.formats.untold import UntoldError
from deploy_exporters.sources import examples

FILE = "model.pt2"
LIBRARY = "torch"
OPTIONS: Options = {}


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Predictor:
    """Load a .pt2; `threads` holds for all of torch in this process."""
    import torch

    from deploy_exporters import pt2
    from deploy_exporters.sources.torch import TorchSource

    if threads is not None:
        torch.set_num_threads(threads)
    exported = pt2.load(path)
    known = signature or pt2.told(exported)
    if not known.outputs:
        raise UntoldError(f"{path} does not tell the names of its outputs", hint="a .pt2 of ours does")
    return TorchSource(pt2.Program(exported), known, examples.from_specs(known.inputs))
