"""Finding the decisions that follow from outputs, and comparing them."""

from deploy_agreement.deciding.outputs import decide

__all__ = ["decide"]
