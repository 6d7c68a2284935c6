"""What can be asked on a device: the trained model itself, each of its files, each server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.gpu.measuring import Result, asked, judged, opened
from deploy_clients import connect
from deploy_core.artifact import Artifact
from deploy_core.device import Device
from deploy_core.errors import first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature, Tensors
from deploy_exporters import formats
from deploy_model_store import Version
from deploy_toolkit.flows import serve

# Server, and what it is to serve: the embedded server has a runtime for each of these files.
SERVED = (("embedded", "onnx"), ("embedded", "torchscript"), ("torchserve", ""))


class OnDevice:
    """A module of torch on a device, called by tensor names."""

    def __init__(self, module: Any, signature: Signature, device: str) -> None:
        import torch

        torch.backends.cudnn.allow_tf32 = False  # as for files: it rounds to ten bits
        self.signature = signature
        self._module = module.to(device)
        self._device = device

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch; the way to the GPU and back is part of it."""
        import torch

        from deploy_exporters.deploy_handler import flatten
        from deploy_exporters.sources.torch import to_array

        tensors = [torch.from_numpy(array).to(self._device) for array in self.signature.conform(inputs).values()]
        with torch.inference_mode():
            values = flatten(self._module(*tensors))
        return {spec.name: to_array(value) for spec, (_, value) in zip(self.signature.outputs, values, strict=True)}

    def close(self) -> None:
        """Nothing is held but memory."""


def of_source(model: Any, version: Version, device: Device, requests: int) -> Result:
    """Ask the trained model itself."""
    return asked(
        "the model itself", version, opened(lambda: OnDevice(model, version.signature, torch_name(device))), requests
    )


def of_files(version: Version, device: Device, requests: int) -> Iterator[Result]:
    """Ask every file of a version but the archive, which TorchServe is for."""
    for artifact in version.artifacts:
        if artifact.format != "mar":
            yield asked(artifact.name, version, opened(_loading(artifact, device)), requests)


def of_servers(
    version: Version, store: Path, device: Device, requests: int, served: tuple[tuple[str, str], ...] = SERVED
) -> Iterator[Result]:
    """Start every server, and ask each of its endpoints."""
    for server, artifact in served:
        named = f"{server}{f' with {artifact}' if artifact else ''}"
        options = {"artifact": artifact} if artifact else {}
        yield from _of_server(named, version, store, _request(version, server, device, options), requests)


def torch_name(device: Device) -> str:
    """Give a device as torch calls it: the first of its GPUs."""
    return f"cuda:{device.indexes[0] if device.indexes else 0}" if device.on_gpu else "cpu"


def _of_server(named: str, version: Version, store: Path, request: serve.Request, requests: int) -> Iterator[Result]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(serve.serving(request, store=store))
        except Exception as error:  # whatever keeps one server from running, the others go on
            yield Result(version.name, named, "failed", why=first_line(error))
            return
        for endpoint in running.endpoints:
            told = f"{named}: {endpoint.dialect}, {endpoint.transport}"
            with connect(endpoint) as client:
                yield judged(told, version, client, requests)


def _request(version: Version, server: str, device: Device, options: Mapping[str, str]) -> serve.Request:
    return serve.Request((str(version),), server, device=str(device), options=options)


def _loading(artifact: Artifact, device: Device) -> Callable[[], Predictor]:
    if artifact.format == "pt2" and device.on_gpu:
        return lambda: _program(artifact, device)
    return lambda: formats.load(artifact, device=device)


def _program(artifact: Artifact, device: Device) -> Predictor:
    """A torch.export program is moved as a whole: its graph names the device that it was made for."""
    from torch.export.passes import move_to_device_pass

    from deploy_exporters import pt2

    place = torch_name(device)
    return OnDevice(pt2.Program(move_to_device_pass(pt2.load(artifact.path), place)), artifact.signature, place)
