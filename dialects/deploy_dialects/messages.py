"""Message classes of the three protocols, from the committed descriptor sets, without a line of generated code."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from deploy_dialects.malformed import Malformed


@cache
def pool(protocol: str) -> DescriptorPool:
    """Give the private pool of `tfserving`, `tfserving_files`, `oip` or `torchserve`.

    In the default pool, whoever imports TensorFlow, tritonclient or KServe in the same process would collide with us.
    """
    descriptors = DescriptorPool()
    raw = files("deploy_dialects.descriptors").joinpath(f"{protocol}.binpb").read_bytes()
    for file in FileDescriptorSet.FromString(raw).file:
        descriptors.AddSerializedFile(file.SerializeToString())
    return descriptors


@cache
def message(protocol: str, name: str) -> Any:
    """Give the class of a message by its full name; messages of different pools do not mix, exchange bytes."""
    return message_factory.GetMessageClass(pool(protocol).FindMessageTypeByName(name))


def parsed(kind: Any, body: bytes) -> Any:
    """Read a message. Raises Malformed."""
    try:
        return kind.FromString(body)
    except DecodeError:
        raise Malformed(f"the bytes are no {kind.DESCRIPTOR.full_name}") from None
