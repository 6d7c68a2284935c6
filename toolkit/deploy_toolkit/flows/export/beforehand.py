"""What is wrong with a request to export that can be told before anything is opened: opening can mean training."""

from __future__ import annotations

from collections.abc import Sequence

from deploy_core.errors import UsageError
from deploy_core.ranges import require_known
from deploy_core.signature import BATCH, Signature, TensorSpec
from deploy_exporters import calibration
from deploy_exporters.formats import PUBLIC, check_options
from deploy_exporters.routes import require_calibration, require_target
from deploy_toolkit.flows import degradation
from deploy_toolkit.flows.export.request import Request


def require_sound(request: Request) -> None:
    """Raise UsageError for what does not exist or does not fit together, as far as the request alone tells."""
    if not request.formats:
        raise UsageError("no format is named", hint=f"--to takes {', '.join(PUBLIC)}")
    for name in request.formats:
        require_target(name)
    check_options(request.targets, request.options)
    require_calibration(request.targets, given=request.calibration is not None)
    degradation.check_limit(request.targets, request.max_degradation)
    if request.calibration is not None:
        calibration.require_values(request.calibration)
    require_fitting(request, request.inputs)


def require_fitting(request: Request, inputs: Sequence[TensorSpec]) -> None:
    """Raise UsageError for ranges and calibration data that are not for these inputs; if there are none, nobody knows yet."""
    signature = Signature(tuple(inputs), ())
    if request.static:
        require_known(request.ranges, ())
    elif inputs:
        require_known(request.ranges, (BATCH, *signature.symbols))
    if inputs and request.calibration is not None:
        calibration.checked(signature, request.calibration)
