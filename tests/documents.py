"""What commands print for machines, held against the published schemas."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
from referencing import Registry, Resource


def valid(text: str, schema: str) -> Any:
    """Read a document, which has to hold its schema and those that this one names."""
    folders = (files("deploy_toolkit.reports") / "schemas", files("deploy_agreement") / "schema")
    texts = {
        path.name: path.read_text() for folder in folders for path in folder.iterdir() if path.name.endswith(".json")
    }
    resources = {name: Resource.from_contents(json.loads(content)) for name, content in texts.items()}
    registry: Registry[Any] = Registry().with_resources(
        [
            (uri, resource)
            for name, resource in resources.items()
            for uri in (name, f"deploy/{schema.split('-')[0]}/{name}")
        ]
    )
    document = json.loads(text)
    jsonschema.Draft202012Validator(json.loads(texts[f"{schema}.json"]), registry=registry).validate(document)
    return document
