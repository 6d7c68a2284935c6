"""Zip archives: names that lead out of them, links, duplicates, and bombs."""

from __future__ import annotations

import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator

from deploy_exporters.safety.danger import Danger, some

ENTRIES = 20_000
# Weights of zeros pack a thousand to one, and that is no attack: only what is large, too, is a bomb.
UNPACKED = 1 << 30
RATIO = 100
_DRIVE = re.compile(r"^[A-Za-z]:")
_HOSTILE = "no program that exports models writes such an archive: do not unpack it"


def dangers(archive: zipfile.ZipFile) -> Iterator[Danger]:
    """Give what would happen if the archive were unpacked; nothing is."""
    entries = archive.infolist()
    checks = {
        "names a file outside itself": [e.orig_filename for e in entries if _leads_out(e.orig_filename)],
        "holds a link": [e.filename for e in entries if _is_link(e)],
        "holds two files of one name": [n for n, times in Counter(e.filename for e in entries).items() if times > 1],
        "holds an encrypted file": [e.filename for e in entries if e.flag_bits & 1],
    }
    for what, names in checks.items():
        if names:
            yield Danger(f"the archive {what}: {some(names)}", _HOSTILE, trustable=False)
    yield from _bomb(entries)


def _bomb(entries: list[zipfile.ZipInfo]) -> Iterator[Danger]:
    packed, unpacked = (sum(getattr(e, size) for e in entries) for size in ("compress_size", "file_size"))
    # Entries may overlap: the archive itself can be smaller than what they claim to be packed.
    begins = {entry.header_offset: entry.compress_size for entry in entries}
    packed = min(packed, sum(begins.values()))
    if unpacked > UNPACKED and unpacked > RATIO * packed:
        yield Danger(f"the archive unpacks {packed:,} bytes to {unpacked:,}")
    if len(entries) > ENTRIES:
        yield Danger(f"the archive holds {len(entries):,} files")


def _leads_out(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return ".." in parts or parts[0] == "" or bool(_DRIVE.match(name)) or "\0" in name


def _is_link(entry: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return kind not in (0, stat.S_IFREG, stat.S_IFDIR)
