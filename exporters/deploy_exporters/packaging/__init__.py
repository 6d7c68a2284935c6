"""Packages for devices: one archive with a file, its signature, golden vectors, provenance, and code that calls it.

A target is a module with
    TITLE                  for whom the package is, in words
    remarks(operators)     what a user of the package must know of its operators. Raises ExportError if it cannot run
    files(contents)        the package's files by their path in it
"""

from __future__ import annotations

from deploy_core.table import Row, Table
from deploy_exporters.packaging.contents import Contents, Labels

__all__ = ["TARGETS", "Contents", "Labels"]

_HERE = "deploy_exporters.packaging"
TARGETS = Table(
    "target",
    {
        "linux": Row(f"{_HERE}.linux", ("ai_edge_litert", "flatbuffers"), "tflite"),
        "android": Row(f"{_HERE}.android", ("ai_edge_litert", "flatbuffers"), "tflite"),
    },
)
