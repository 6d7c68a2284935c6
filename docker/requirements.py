"""Write what each image asks pip for, from what pyproject.toml says: `python docker/requirements.py FOLDER`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

# What the handler of this project's archives may need besides TorchServe and torch.
HANDLER = ("numpy", "onnxruntime")


def main(folder: Path) -> None:
    """Write FOLDER/embedded.txt and FOLDER/torchserve.txt; a file that stays the same keeps its layers cached."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lists = {
        "embedded": [*project["dependencies"], *extras["serve"], *extras["images"]],
        "torchserve": [*extras["torchserve"], *extras["images"], *HANDLER],
    }
    for name, packages in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{package}\n" for package in sorted(packages)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
