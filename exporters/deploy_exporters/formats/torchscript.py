"""TorchScript, run by libtorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy_core.errors import UsageError
from deploy_core.signature import Signature, Tensors
from deploy_exporters.formats.option import Option, Options

FILE = "model.pt"
LIBRARY = "torch"
OPTIONS: Options = {
    "method": Option(
        "script, trace or export; without it, the first of them that is proved right", ("script", "trace", "export")
    ),
}


class Script:
    """A TorchScript program called by tensor names."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self.signature = signature
        self._model = model

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        import torch

        from deploy_exporters.deploy_handler import argument, flatten, to_tensor
        from deploy_exporters.sources.torch import to_array

        tensors = {argument(name): to_tensor(array) for name, array in self.signature.conform(inputs).items()}
        with torch.inference_mode():
            values = flatten(self._model(**tensors))
        return {spec.name: to_array(value) for spec, (_, value) in zip(self.signature.outputs, values, strict=True)}

    def close(self) -> None:
        """Nothing is held but memory."""


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Script:
    """Load a TorchScript file; `threads` holds for all of torch in this process."""
    import torch

    from deploy_exporters.deploy_handler import load as load_script

    if threads is not None:
        torch.set_num_threads(threads)
    model, told = load_script(path)
    if signature is None and not told:
        raise UsageError(
            f"{path} does not tell the names, dtypes and shapes of its tensors", hint="a TorchScript file of ours does"
        )
    return Script(model, signature or Signature.from_json(told))
