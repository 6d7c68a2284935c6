"""Who is measured: one row each.

A server that `deploy serve` starts is named by `server`. Any other is a module here with three functions:
`files(model, ports)` gives what its folder holds, `command(python, ports)` what is run in that folder, and
`spoken(transport)` whatever has the `encode` and `decode` of a dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

JSON, BINARY, GRPC = "REST, JSON", "REST, binary tensors", "gRPC"
WAYS = (JSON, GRPC, BINARY)
RUNTIME = ("onnxruntime==1.32.0", "numpy==2.4.6")


@dataclass(frozen=True)
class Ports:
    """Where a server is to listen."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Model:
    """What is served: a stored model's name, and its ONNX file."""

    name: str
    onnx: Path


@dataclass(frozen=True)
class Peer:
    """A server, the ways in which it is asked, and how it was set, in words."""

    name: str
    ways: tuple[str, ...]
    told: str
    server: str = ""
    dialect: str = "oip"
    options: Mapping[str, str] = field(default_factory=dict)
    module: str = ""
    packages: tuple[str, ...] = ()


PEERS = (
    Peer("embedded", (JSON, GRPC, BINARY), "as it comes; ONNX Runtime", server="embedded"),
    Peer(
        "TorchServe",
        (JSON, GRPC),
        "0.12.0, the `.mar` of the store (TorchScript), one worker, no tokens",
        server="torchserve",
        dialect="torchserve",
        options={"tokens": "off"},
    ),
    Peer(
        "Triton",
        (JSON, GRPC, BINARY),
        "2.51.0 of the wheel nvidia-pytriton 0.7.0: its python backend runs ONNX Runtime",
        server="triton",
        options={"threads": "1"},
    ),
    Peer(
        "MLServer",
        (JSON, GRPC),
        "1.7.1, inference in its own process (`parallel_workers: 0`), a runtime of ten lines around ONNX Runtime",
        module="benchmarks.serving.peers.mlserver",
        packages=("mlserver==1.7.1", *RUNTIME),
    ),
    Peer(
        "LitServe",
        (JSON,),
        "0.2.19, one worker, requests not joined; it has no gRPC",
        module="benchmarks.serving.peers.litserve",
        packages=("litserve==0.2.19", *RUNTIME),
    ),
)
