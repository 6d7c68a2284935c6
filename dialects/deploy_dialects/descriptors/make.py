"""Make the descriptor sets; for development only: needs tensorflow-serving-api, grpcio-tools and torchserve.

    for name in tfserving tfserving_files oip torchserve; do python -m deploy_dialects.descriptors.make $name; done

One process each: protoc and TensorFlow in one process crash it.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

HERE = Path(__file__).parent
_JAR = "frontend/model-server.jar"
_IN_JAR = {
    "proto/inference.proto": "inference.proto",
    "proto/management.proto": "management.proto",
    "google/rpc/status.proto": "google/rpc/status.proto",
}


def tfserving() -> bytes:
    """Give the closure of TensorFlow Serving's two services, as its Python package carries it."""
    from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2  # type: ignore[import-untyped]

    files: dict[str, FileDescriptorProto] = {}
    for module in (prediction_service_pb2, model_service_pb2):
        _collect(module.DESCRIPTOR, files)
    return FileDescriptorSet(file=list(files.values())).SerializeToString(deterministic=True)


def tfserving_files() -> bytes:
    """Compile `tfserving_files.proto`."""
    return _compiled(HERE, "tfserving_files.proto")


def oip() -> bytes:
    """Compile `oip.proto`."""
    return _compiled(HERE, "oip.proto")


def torchserve() -> bytes:
    """Compile the sources that lie in TorchServe's jar."""
    spec = find_spec("ts")
    assert spec is not None
    assert spec.submodule_search_locations
    with TemporaryDirectory() as folder, zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / _JAR) as jar:
        for member, name in _IN_JAR.items():
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(jar.read(member))
        return _compiled(Path(folder), "inference.proto", "management.proto")


SETS: dict[str, Callable[[], bytes]] = {
    "tfserving": tfserving,
    "tfserving_files": tfserving_files,
    "oip": oip,
    "torchserve": torchserve,
}


def main() -> None:
    """Write the set that the command line names into the folder it names, else beside this file."""
    name, *rest = sys.argv[1:]
    target = Path(rest[0]) if rest else HERE
    (target / f"{name}.binpb").write_bytes(SETS[name]())


def _collect(file: Any, files: dict[str, FileDescriptorProto]) -> None:
    if file.name in files:
        return
    for dependency in file.dependencies:
        _collect(dependency, files)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    files[file.name] = proto


def _compiled(folder: Path, *names: str) -> bytes:
    from grpc_tools import protoc  # type: ignore[import-untyped]

    own = Path(protoc.__file__).parent / "_proto"
    with TemporaryDirectory() as out:
        target = Path(out) / "set"
        arguments = ["protoc", f"-I{folder}", f"-I{own}", "--include_imports", f"--descriptor_set_out={target}", *names]
        if protoc.main(arguments):
            raise SystemExit(f"protoc failed on {', '.join(names)}")
        made = FileDescriptorSet.FromString(target.read_bytes())
    return made.SerializeToString(deterministic=True)


if __name__ == "__main__":
    main()
