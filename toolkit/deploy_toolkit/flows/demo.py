"""The main job on the example models, start to end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_agreement import Report
from deploy_toolkit.flows import check, export, formats
from deploy_toolkit.output import OnEvent

FORMATS = ("torchscript", "mar", "onnx", "savedmodel", "tflite")
MODELS = {
    "simplenet": "deploy_toolkit.demo.simplenet:torch_net",
    "simplenet-keras": "deploy_toolkit.demo.simplenet:keras_net",
    "simplenet-twin": "deploy_toolkit.demo.simplenet:keras_twin",
}


@dataclass(frozen=True)
class Demo:
    """What was compared, in parts that have a title each, and where the files lie."""

    store: Path
    reports: tuple[tuple[str, Report], ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """4 if anything disagrees."""
        return max(report.exit_code for _, report in self.reports)

    def to_json(self) -> dict[str, Any]:
        """Give the document that `deploy demo --json` prints."""
        return {
            "schema": "deploy/demo/1",
            "store": str(self.store),
            "notes": list(self.notes),
            "reports": [{"title": title, **report.to_json()} for title, report in self.reports],
        }


def demo(store: Path, *, on_event: OnEvent) -> Demo:
    """Train both SimpleNets, export every format, serve them by every server there is, compare everything."""
    for name, source in MODELS.items():
        request = export.Request(source, FORMATS, name=name)
        export.export(request, store=store, on_event=_prefixed(name, on_event))
    servers, notes = _servers()
    torch_report = check.check(
        check.Request(("simplenet", "simplenet-twin"), servers=servers), store=store, on_event=on_event
    )
    keras_report = check.check(check.Request(("simplenet-keras",), servers=servers), store=store, on_event=on_event)
    reports = (
        ("PyTorch SimpleNet, and its twin in Keras with the same weights, against PyTorch's predictions", torch_report),
        ("Keras SimpleNet, trained by itself, against Keras' predictions", keras_report),
    )
    return Demo(store, reports, notes)


def _prefixed(name: str, on_event: OnEvent) -> OnEvent:
    return lambda event: on_event(f"{name}: {event}")


def _servers() -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = formats.servers()
    left_out = [
        f"{row.server} was left out: it needs {', '.join(row.missing)}; {row.hint}" for row in rows if row.missing
    ]
    return tuple(row.server for row in rows if not row.missing), tuple(left_out)
