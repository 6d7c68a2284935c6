"""Entries of zip archives whose bytes follow from their content alone."""

from __future__ import annotations

import zipfile

_EPOCH = (1980, 1, 1, 0, 0, 0)


def entry(name: str) -> zipfile.ZipInfo:
    """Give the entry of a plain file: no time of day, and not deflated, which differs from one zlib to the next."""
    made = zipfile.ZipInfo(name, _EPOCH)
    made.compress_type = zipfile.ZIP_STORED
    made.create_system = 3
    made.external_attr = 0o100644 << 16
    return made
