"""The files of a gate as a whole: gate.json, junit.xml, index.html."""

from __future__ import annotations

import shlex
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from deploy_toolkit import documents
from deploy_toolkit.reports import junit, writing

if TYPE_CHECKING:
    from deploy_toolkit.flows.gate.result import Outcome, Result

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>deploy gate: $verdict</title>
<style>
:root { color-scheme: light dark; --good: #1f7a3a; --bad: #c62f26; --soft: #5b6576; --line: #d9dee6 }
@media (prefers-color-scheme: dark) { :root { --good: #56d364; --bad: #ff7b72; --soft: #9aa5b6; --line: #39414f } }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 60rem; font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
article { border-top: 1px solid var(--line); padding: .75rem 0 }
h1, h2 { line-height: 1.25; margin: 0 0 .25rem } h1 { font-size: 1.5rem } h2 { font-size: 1.1rem } p { margin: .25rem 0 }
code { font: 13px/1.5 ui-monospace, monospace } .passed { color: var(--good) } .failed { color: var(--bad) } .skipped, .soft { color: var(--soft) }
</style>
</head>
<body>
<h1>deploy gate: <span class="$verdict">$verdict</span></h1>
<p class="soft">$file, exit code $code</p>
$steps
</body>
</html>
""")


def write(result: Result) -> None:
    """Write all three. Raises UsageError if one cannot be written."""
    out = result.plan.out
    writing.write(out / "gate.json", documents.text(result.to_json()).encode())
    writing.write(out / "junit.xml", cases(result))
    writing.write(out / "index.html", page(result).encode())


def page(result: Result) -> str:
    """Give a page with a part for each step that leads to its own."""
    verdict = "failed" if result.exit_code else "passed"
    steps = "\n".join(_part(result, outcome) for outcome in result.outcomes)
    return _PAGE.substitute(verdict=verdict, file=escape(str(result.plan.file)), code=result.exit_code, steps=steps)


def _part(result: Result, outcome: Outcome) -> str:
    named = (("page", outcome.page), ("document", outcome.document), ("log", outcome.log))
    links = " · ".join(f'<a href="{escape(file.name)}">{kind}</a>' for kind, file in named if file)
    command = escape(shlex.join(result.plan.words(outcome.step)))
    told = f"<p>{escape(outcome.said)}</p>" if outcome.said else ""
    return (
        f'<article><h2>{outcome.step.name}: <span class="{outcome.verdict}">{outcome.verdict}</span></h2>{told}'
        f'<p><code>{command}</code></p><p class="soft">{outcome.seconds:.1f} s {links}</p></article>'
    )


def cases(result: Result) -> bytes:
    """Give a suite with a case for each step, and after it the suites that steps wrote themselves."""
    root = junit.suites("deploy gate")
    junit.suite(root, "deploy gate").extend(_case(result, outcome) for outcome in result.outcomes)
    for outcome in result.outcomes:
        root.extend(_suites(outcome.step.cases))
    return junit.written(root)


def _case(result: Result, outcome: Outcome) -> junit.Element:
    command = shlex.join(result.plan.words(outcome.step))
    case = junit.case(f"deploy {outcome.step.kind}", outcome.step.name, command, seconds=outcome.seconds)
    if outcome.verdict != "passed":
        junit.add(case, "failure" if outcome.verdict == "failed" else "skipped", outcome.said)
    return case


def _suites(file: Path | None) -> list[junit.Element]:
    return list(ElementTree.parse(file).getroot()) if file is not None and file.exists() else []
