"""What is installed: exactly our packages, with their data files."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "deploy_core",
    "deploy_dialects",
    "deploy_model_store",
    "deploy_exporters",
    "deploy_agreement",
    "deploy_clients",
    "deploy_latency",
    "deploy_servers",
    "deploy_toolkit",
}


def test_the_wheel_holds_our_packages_whole(tmp_path: Path) -> None:
    wheel = next(iter(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
        (folder,) = ROOT.glob(f"*/{package}")
        ours = {
            f"{package}/{path.relative_to(folder).as_posix()}"
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert ours == {name for name in names if name.startswith(f"{package}/")}
