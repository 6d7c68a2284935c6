"""TorchScript, run by libtorch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_core.device import CPU, Device
from deploy_core.errors import UnavailableError
from deploy_core.predictor import Intermediate
from deploy_core.signature import Signature, Tensors
from deploy_exporters.formats.option import Option, Options
from deploy_exporters.formats.untold import UntoldError

if TYPE_CHECKING:
    from deploy_exporters.sources.torchscript import TorchScriptSource

FILE = "model.pt"
LIBRARY = "torch"
GPU = True
OPTIONS: Options = {
    "method": Option(
        "script, trace or export; without it, the first of them that is proved right", ("script", "trace", "export")
    ),
}


class Script:
    """A TorchScript program called by tensor names."""

    def __init__(self, model: Any, signature: Signature, path: Path, device: str = "cpu") -> None:
        self.signature = signature
        self._path = path
        self._model = model
        self._device = device

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        import torch

        from deploy_exporters.deploy_handler import argument, flatten, to_tensor
        from deploy_exporters.sources.torch import to_array

        given = self.signature.conform(inputs).items()
        tensors = {argument(name): to_tensor(array).to(self._device) for name, array in given}
        with torch.inference_mode():
            values = flatten(self._model(**tensors) if self._own_names else self._model(*tensors.values()))
        return {spec.name: to_array(value) for spec, (_, value) in zip(self.signature.outputs, values, strict=True)}

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer one batch in double precision. Raises UsageError for a program that has float32 written into it."""
        return self._source.predict_float64(inputs)

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside, computed on the CPU. Raises UsageError for what only a whole program does."""
        from deploy_exporters import jit

        return self._source.intermediates(inputs, layers=jit.layers(self._path))

    def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
        """Give d(Σ weights · outputs) / d(input) for every float input. Raises UsageError for what has no derivative."""
        return self._source.gradient(inputs, weights)

    def close(self) -> None:
        """Nothing is held but memory."""

    @cached_property
    def _own_names(self) -> bool:
        """Whether the program names its arguments as the signature does; one of another tool goes by their order."""
        from deploy_exporters.deploy_handler import argument

        taken = {each.name for each in self._model.forward.schema.arguments}
        return taken.issuperset(argument(spec.name) for spec in self.signature.inputs)

    @cached_property
    def _source(self) -> TorchScriptSource:
        from deploy_exporters import jit
        from deploy_exporters.sources.torchscript import Scripted, TorchScriptSource

        # Of a copy: what ran in inference mode remembers that nothing of it was to be differentiated.
        return TorchScriptSource(Scripted(jit.copied(self._model)), self.signature, {})


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None, device: Device = CPU) -> Script:
    """Load a TorchScript file; `threads` holds for all of torch in this process.

    Raises UnavailableError if it is to run on a GPU and cannot.
    """
    import torch

    from deploy_exporters.deploy_handler import load as load_script

    if threads is not None:
        torch.set_num_threads(threads)
    place = _place(device)
    model, told = load_script(path, place)
    if signature is None and not told:
        raise UntoldError(
            f"{path} does not tell the names, dtypes and shapes of its tensors", hint="a TorchScript file of ours does"
        )
    return Script(model, signature or Signature.from_json(told), path, place)


def _place(device: Device) -> str:
    import torch

    if not device.on_gpu:
        return "cpu"
    if not torch.cuda.is_available():
        raise UnavailableError(
            "torch finds no GPU that it can use", hint="is it a build for CUDA? what says nvidia-smi?"
        )
    # TensorFloat-32 rounds to ten bits, which is another model's answer.
    torch.backends.cudnn.allow_tf32 = False
    return f"cuda:{device.indexes[0] if device.indexes else 0}"
