"""Pages as a real browser has them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

CHROMIUM = shutil.which("chromium")
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
    "--disable-crash-reporter", "--enable-logging=stderr", "--window-size=1200,6500", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


_NOBODY = "not an origin"


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page: its elements, its picture, what it complained of and where it went."""

    dom: str
    picture: Any
    said: str
    requests: list[str]


def look(page: Path, folder: Path, *options: str) -> Seen:
    """Show a page, in a window of 1200 by 6500 pixels, and give what came of it."""
    folder.mkdir(exist_ok=True)
    log, picture = folder / "net.json", folder / "picture.png"
    common = (*_command(folder), *options)
    shot = _run(*common, f"--log-net-log={log}", f"--screenshot={picture}", page.as_uri())
    dom = _run(*common, "--dump-dom", page.as_uri())
    return Seen(dom.stdout, imread(picture), shot.stderr + dom.stderr, list(_requests(log)))


def framed(page: Path, folder: Path, wide: int, *asked: str) -> list[str]:
    """Show a page that wide, as on a phone, and give what these expressions of `page`, its document, say there."""
    folder.mkdir(exist_ok=True)
    frame = folder / "frame.html"
    told = "".join(f"<li>${{{expression}}}</li>" for expression in asked)
    script = f"onload = () => {{ const page = frames[0].document; document.body.innerHTML = `{told}` }}"
    frame.write_text(f'<iframe src="{page.as_uri()}" width="{wide}" height="2000"></iframe><script>{script}</script>')
    done = _run(*_command(folder), "--allow-file-access-from-files", "--dump-dom", frame.as_uri())
    return re.findall("<li>(.*?)</li>", done.stdout)


def _command(folder: Path) -> tuple[str, ...]:
    if CHROMIUM is None:
        if os.environ.get("DEPLOY_CI"):
            pytest.fail("no chromium is installed, and CI has to look at the page")
        pytest.skip("no chromium is installed")
    return (CHROMIUM, *_OPTIONS, f"--user-data-dir={folder / 'profile'}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def _requests(log: Path) -> Iterator[str]:
    """Give what the page asked for; what the browser wants for itself begins at no page."""
    for event in json.loads(log.read_text())["events"]:
        asked = event.get("params", {})
        if asked.get("initiator", _NOBODY) != _NOBODY and not asked["url"].startswith(("file:", "data:")):
            yield asked["url"]


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src", "xlink:href", "action", "data", "poster", "srcset"} and value:
                self.found.append(value)
            if name == "id" and value:
                self.ids.append(value)


def links(text: str) -> Links:
    parser = Links()
    parser.feed(text)
    return parser
