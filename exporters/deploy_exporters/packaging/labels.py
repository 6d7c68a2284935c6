"""Label files: which output they name."""

from __future__ import annotations

from pathlib import Path

from deploy_core.errors import UsageError
from deploy_core.signature import Signature
from deploy_exporters.packaging.contents import Labels

FILE = "labels.txt"  # whatever it was called before: no name that the package has already


def read_labels(given: str, signature: Signature) -> Labels:
    """Read FILE or OUTPUT=FILE, one label a line; without OUTPUT, the one output whose last axis is as long.

    Raises UsageError.
    """
    outputs = [spec.name for spec in signature.outputs]
    before, _, after = given.partition("=")
    output, path = (before, Path(after)) if before in outputs else ("", Path(given))
    try:
        content = path.read_bytes()
        count = len(content.decode().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="--labels takes text, one label a line") from error
    fitting = [spec.name for spec in signature.outputs if spec.shape and spec.shape[-1] == count]
    if output and output not in fitting:
        raise UsageError(
            f"{path} has {count} labels", hint=f"{signature.output(output)} wants as many as its last axis"
        )
    if not output and len(fitting) != 1:
        told = ", ".join(map(str, signature.outputs))
        hint = "write --labels OUTPUT=FILE" if fitting else f"the last axis of an output must be as long: {told}"
        raise UsageError(f"{path} has {count} labels, which fits {', '.join(fitting) or 'no output'}", hint=hint)
    return Labels(output or fitting[0], FILE, content)
