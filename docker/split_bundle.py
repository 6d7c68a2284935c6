"""Write each certificate of a bundle as a file of its own: `python docker/split_bundle.py BUNDLE FOLDER`.

`update-ca-certificates` takes one certificate a file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def main(bundle: Path, folder: Path) -> None:
    """Write FOLDER/own-1.crt and so on."""
    found = CERTIFICATE.findall(bundle.read_text())
    if not found:
        sys.exit(f"{bundle} holds no certificate in PEM form")
    for number, text in enumerate(found, 1):
        (folder / f"own-{number}.crt").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
