"""Archives of numpy arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from deploy_exporters.safety import archive
from deploy_exporters.safety.danger import Danger


def dangers(path: Path) -> Iterator[Danger]:
    """Give the dangers of the archive; numpy is told to read no pickles."""
    with zipfile.ZipFile(path) as opened:
        yield from archive.dangers(opened)
