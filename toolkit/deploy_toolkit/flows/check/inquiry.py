"""What is the same for every subject of one check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy_agreement import Terms
from deploy_toolkit.flows import degradation
from deploy_toolkit.flows.check.mates import Mate
from deploy_toolkit.flows.check.probing import NOTHING, Probes
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.subjects import Subject


@dataclass(frozen=True)
class Inquiry:
    """What was asked for, the right answers, what else is asked, and other ways to the servers by the name of a subject."""

    request: Request
    wanted: Wanted
    probes: Probes = NOTHING
    mates: Mapping[str, Mate] = field(default_factory=dict)

    def terms(self, subject: Subject) -> Terms:
        """Give the terms that answers of a subject to the golden inputs are judged on."""
        wanted = self.wanted
        own = degradation.stored_terms(subject.version, subject.artifact, wanted.outputs, wanted.noise)
        return self.request.terms(own)

    def form(self, subject: Subject) -> Terms:
        """Give the terms for other inputs, for which nothing was measured."""
        return self.request.terms(degradation.form_terms(subject.artifact, self.wanted.outputs))
