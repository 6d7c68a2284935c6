"""For test suites of users: `assert_agrees(model, artifact_or_url)`, which pytest finds by itself once we are installed.

def test_what_is_deployed_is_what_was_trained(assert_agrees):
    assert_agrees(model, "model.onnx", "tfserving+rest://127.0.0.1:8501/net", example=x)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from deploy_agreement import Report


class AssertAgrees(Protocol):
    """What the fixture gives."""

    def __call__(self, model: object, *subjects: object, example: Any = None, **options: Any) -> Report:
        """Fail unless every subject predicts what `model` does; give the report.

        `model` is a model in memory, SOURCE as `deploy export` takes it, or a stored name. Subjects are files, endpoints
        and stored names. `options` are those of `deploy_toolkit.check`.
        """


@pytest.fixture
def assert_agrees(tmp_path: Path) -> AssertAgrees:
    """Give a function that fails unless artifacts and endpoints predict what the model does."""

    def agrees(model: object, *subjects: Any, example: Any = None, **options: Any) -> Report:
        __tracebackhide__ = True
        from deploy_toolkit import check

        report = check(*subjects, against=model, example=example, **{"found": tmp_path, **options})
        if not report.ok:
            raise AssertionError("\n".join([repr(report), *_reasons(report, options)]))
        return report

    return agrees


def _reasons(report: Report, options: Mapping[str, Any]) -> list[str]:
    """What the report has found beside its rows, and what would find more."""
    from deploy_toolkit.reports.check import words

    found = [*map(words.located, report.located), *([words.skew(report.skew)] if report.skewed and report.skew else [])]
    more = "assert_agrees(…, localise=True) names the layer in which they part first"
    return found if options.get("localise") else [*found, more]
