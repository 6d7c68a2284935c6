"""Whether two predictors predict the same: inputs, noise, tolerance, comparison."""

from deploy_agreement.as_published import as_published
from deploy_agreement.comparison import BATCHES, batches_for, compare
from deploy_agreement.decisions import Decisions
from deploy_agreement.degradation import COLLAPSED, DEGRADED, Degradation, OutputDegradation
from deploy_agreement.found import Inside, Located, Match, Skew, StepSkew, Worst
from deploy_agreement.given import Given
from deploy_agreement.inputs import batches_like, enough_rows, golden_inputs, same_inputs
from deploy_agreement.limits import ANY, Tolerance, tolerance
from deploy_agreement.outputs import Element, OutputAgreement, Points, Problem
from deploy_agreement.probes import Probe
from deploy_agreement.quantised import measured, tolerances, unlike, with_degradation
from deploy_agreement.report import Agreement, Check, ProofError, Report, failed, unproved
from deploy_agreement.rounding import Noise, noise, require_numbers, times_more
from deploy_agreement.shapes import Promise, Refused, again, compare_sizes, promise

__all__ = [
    "ANY",
    "BATCHES",
    "COLLAPSED",
    "DEGRADED",
    "Agreement",
    "Check",
    "Decisions",
    "Degradation",
    "Element",
    "Given",
    "Inside",
    "Located",
    "Match",
    "Noise",
    "OutputAgreement",
    "OutputDegradation",
    "Points",
    "Probe",
    "Problem",
    "Promise",
    "ProofError",
    "Refused",
    "Report",
    "Skew",
    "StepSkew",
    "Tolerance",
    "Worst",
    "again",
    "as_published",
    "batches_for",
    "batches_like",
    "compare",
    "compare_sizes",
    "enough_rows",
    "failed",
    "golden_inputs",
    "measured",
    "noise",
    "promise",
    "require_numbers",
    "same_inputs",
    "times_more",
    "tolerance",
    "tolerances",
    "unlike",
    "unproved",
    "with_degradation",
]
