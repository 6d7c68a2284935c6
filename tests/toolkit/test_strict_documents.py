"""Documents for machines hold no bare NaN or Infinity, which JSON does not know."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import check_reports as reports
import pytest
from documents import valid

from deploy_agreement import Located, Report
from deploy_toolkit import documents
from deploy_toolkit.output import Output
from deploy_toolkit.reports.check import html

MASKED = {"value": -math.inf, "axis": 1, "shape": (2, 3), "mode": "constant", "limit": math.nan}


def masked() -> Report:
    """A report in which models part behind a padding mask."""
    place = reports.located()
    assert place.first is not None
    first = replace(place.first, one=replace(place.first.one, attributes=MASKED))
    return replace(reports.full(), located=(Located("a", "b", (first,), first),))


def test_what_a_mask_fills_with_is_told_as_any_infinity(tmp_path: Path) -> None:
    document = valid(documents.text(masked().to_json()), "agreement-1")
    told = document["located"][0]["first"]["one"]["attributes"]
    assert told == {"value": "-Infinity", "axis": 1, "shape": "(2, 3)", "mode": "constant", "limit": "NaN"}
    html.write(masked(), tmp_path / "check.html")
    assert (tmp_path / "check.html").stat().st_size > 10_000


def test_no_document_can_hold_what_json_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            documents.text({"value": value})
        with pytest.raises(ValueError, match="not JSON compliant"):
            Output(Path(), as_json=True, quiet=True).show({"value": value}, None)
    Output(Path(), as_json=True, quiet=True).show({"value": 0.1}, None)
    assert json.loads(capsys.readouterr().out) == {"value": 0.1}
