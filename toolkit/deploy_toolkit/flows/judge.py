"""The golden outputs of stored versions as the judge of endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy_agreement import DERIVED, Terms, compare
from deploy_agreement.results.report import DISAGREE
from deploy_core.endpoint import Endpoint
from deploy_core.predictor import Predictor
from deploy_exporters.formats.mar import version_of
from deploy_model_store import Version
from deploy_toolkit.flows import degradation, kept, promised
from deploy_toolkit.flows.golden import noise_of


class Judge:
    """Says what is wrong with an endpoint's golden predictions, None if nothing is.

    `options` are the server's: the artifact that they name may be a variant with a rule of its own.
    """

    def __init__(self, served: Sequence[Version], options: Mapping[str, str]) -> None:
        self._artifact = options.get("artifact", "")
        self._served = tuple(served)

    def __call__(self, predictor: Predictor) -> str | None:
        """Ask one client of an endpoint."""
        version = self._version_of(predictor.endpoint)  # type: ignore[attr-defined]  # running() judges clients
        golden = version.golden
        row = compare(
            "endpoint",
            golden.outputs,
            predictor,
            golden.inputs,
            noise=noise_of(golden),
            terms=terms_of(version, self._artifact),
            batches=promised.batches(version),
        )
        return row.why if not row.ok else self._not_as_published(version, predictor)

    def _not_as_published(self, version: Version, predictor: Predictor) -> str | None:
        """Say how a variant answers otherwise than it did when it was published; None if it does not, or is none."""
        check = kept.held(version, version.artifact(self._artifact), predictor, ours=False) if self._artifact else None
        return f"{check.name}: {check.said}" if check and check.verdict == DISAGREE else None

    def _version_of(self, endpoint: Endpoint) -> Version:
        ours = [version for version in self._served if version.name == endpoint.model]
        if endpoint.version is None:
            return ours[0]
        return next(version for version in ours if endpoint.version in _calls(version))


def _calls(version: Version) -> tuple[str, ...]:
    """Give what servers call a version: its number, or the version that its archive has for itself."""
    archives = [artifact.path for artifact in version.artifacts if artifact.format == "mar"]
    return str(version.number), *map(version_of, archives)


def terms_of(version: Version, artifact: str) -> Terms:
    """Give the terms for the answers of a server that was asked for `artifact`, empty for the usual one."""
    if not artifact:
        return DERIVED
    golden = version.golden
    return degradation.stored_terms(version, version.artifact(artifact), golden.outputs, noise_of(golden))
