"""The files that configure TensorFlow Serving, as protocol buffers in text: models, batching, monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format

from deploy_dialects.malformed import Malformed
from deploy_dialects.messages import message, pool

# What a file is, and the set and message that it holds.
KINDS = {
    "models": ("tfserving", "tensorflow.serving.ModelServerConfig"),
    "batching": ("tfserving_files", "tensorflow.serving.BatchingParameters"),
    "monitoring": ("tfserving_files", "tensorflow.serving.MonitoringConfig"),
}


def empty(kind: str) -> Any:
    """Give an empty message for a file of that kind."""
    return message(*KINDS[kind])()


def write_file(content: Any) -> str:
    """Give the text of a message."""
    return str(text_format.MessageToString(content))


def read_file(kind: str, text: str) -> Any:
    """Read a file, strictly: a field that the message does not have is an error. Raises Malformed, with line and column."""
    protocol, name = KINDS[kind]
    try:
        return text_format.Parse(text, empty(kind), descriptor_pool=pool(protocol))
    except text_format.ParseError as error:
        raise Malformed(f"Error parsing text-format {name}: {error}") from None


def write_models(models: Mapping[str, tuple[str, tuple[int, ...], Mapping[str, int]]]) -> str:
    """Give the text that has exactly these versions served: name → base path, versions, labels of versions."""
    content = empty("models")
    for name, (base_path, versions, labels) in models.items():
        config = content.model_config_list.config.add(name=name, base_path=base_path, model_platform="tensorflow")
        config.model_version_policy.specific.versions.extend(versions)
        for label, version in sorted(labels.items()):
            config.version_labels[label] = version
    return write_file(content)
