"""ExecuTorch programs, run by ExecuTorch's own runtime with XNNPACK."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from deploy_core.errors import InputError
from deploy_core.signature import Signature, Tensors
from deploy_exporters.formats.option import Options
from deploy_exporters.formats.untold import UntoldError

FILE = "model.pte"
LIBRARY = "torch"  # its runtime speaks torch's tensors
OPTIONS: Options = {}
SIGNATURE = "deploy_signature"  # the name of the method that tells it: the format itself keeps no names


class Planned:
    """A program whose memory is planned for its largest sizes; one call at a time."""

    def __init__(self, method: Any, signature: Signature, held: tuple[Any, ...]) -> None:
        self.signature = signature
        self._method = method
        self._held = held
        self._lock = threading.Lock()
        told = [method.metadata.input_tensor_meta(index).sizes() for index in range(len(signature.inputs))]
        self._largest = dict(zip((spec.name for spec in signature.inputs), map(tuple, told), strict=True))

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch. Raises InputError for one that is larger than the program was made for."""
        import torch

        from deploy_exporters.deploy_handler import to_tensor
        from deploy_exporters.sources.torch import to_array

        arrays = self.signature.conform(inputs)
        self._check(arrays)
        tensors = [to_tensor(arrays[spec.name]) for spec in self.signature.inputs]
        with self._lock, torch.no_grad():
            values = self._method.execute(tensors)
            return {
                spec.name: to_array(value).copy() for spec, value in zip(self.signature.outputs, values, strict=True)
            }

    def close(self) -> None:
        """Let go of the program."""
        self._method = None
        self._held = ()

    def _check(self, arrays: Tensors) -> None:
        # The runtime counts elements, not sizes: a longer sequence would pass in a smaller batch.
        for name, array in arrays.items():
            largest = self._largest[name]
            if any(size > most for size, most in zip(array.shape, largest, strict=True)):
                raise InputError(
                    f"input {name!r} has shape {list(array.shape)}, the program is made for at most {list(largest)}",
                    hint="export it with --range SYMBOL=LEAST..GREATEST",
                )


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Planned:
    """Load a .pte; without a `signature` it is the one that the file tells, which only ours do.

    The runtime has threads of its own, which it shares among all programs of a process: `threads` is not heard.
    """
    from executorch.runtime import Runtime, Verification

    body = path.read_bytes()
    if body[4:6] != b"ET":  # the runtime would rather end the process
        raise ValueError("it does not begin as an ExecuTorch program does")
    program = Runtime.get().load_program(body, verification=Verification.InternalConsistency)
    told = signature or _told(path, program)
    # A method points into its program, and that into its bytes, without holding them.
    return Planned(program.load_method("forward"), told, (program, body))


def _told(path: Path, program: Any) -> Signature:
    if SIGNATURE not in program.method_names:
        raise UntoldError(f"{path} does not tell the names of its tensors", hint="a .pte of ours does")
    (text,) = program.load_method(SIGNATURE).execute([])
    return Signature.from_json(json.loads(text))
