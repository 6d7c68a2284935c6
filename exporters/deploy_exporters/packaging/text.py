"""Texts of packages: templates in which `@KEY@` stands for something of the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy_core.signature import TensorSpec
from deploy_exporters.packaging.contents import LICENSE, Contents

_KEY = re.compile(r"@([A-Z_]+)@")


def filled(template: Path, values: Mapping[str, str]) -> bytes:
    """Give a template with each `@KEY@` replaced; a key without a value is a mistake of ours."""
    return _KEY.sub(lambda match: values[match[1]], template.read_text(encoding="utf-8")).encode()


def common(contents: Contents) -> dict[str, str]:
    """Give the values that every target's README has."""
    signature = contents.signature
    symbols = dict.fromkeys(dim for spec in signature.inputs for dim in spec.shape if isinstance(dim, str))
    count = next((array.shape[contents.rows[n]] for n, array in contents.inputs.items() if n in contents.rows), 1)
    return {
        "NAME": contents.name,
        "VERSION": str(contents.version),
        "FILE": contents.file,
        "DESCRIPTION": described(contents),
        "ROWS": str(count),
        "INPUTS": listed(signature.inputs),
        "OUTPUTS": listed(signature.outputs),
        "LICENSE": f"see `{LICENSE}`" if contents.license is not None else "not stated",
        "DYNAMIC": f"{', '.join(f'`{s}`' for s in symbols)} may have any size." if symbols else "Every size is fixed.",
        "REMARKS": _remarks(contents.remarks),
    }


def described(contents: Contents) -> str:
    """Say in a sentence what the file is, without marks of any kind."""
    signature, artifact = contents.signature, contents.artifact
    variant = f", {artifact.variant}" if artifact.variant else ""
    inputs, outputs = (", ".join(map(str, specs)) for specs in (signature.inputs, signature.outputs))
    return f"{contents.name} {contents.version}{variant}: {inputs} to {outputs}."


def listed(specs: Iterable[TensorSpec]) -> str:
    """Give tensor specs as code."""
    return ", ".join(f"`{spec}`" for spec in specs)


def _remarks(remarks: Iterable[str]) -> str:
    lines = [f"- {remark}" for remark in remarks]
    return "\n".join(["", "## Good to know", "", *lines]) if lines else ""
