"""Where two models part first: tensors inside of them matched by name, by value and by order, and why they differ."""

from deploy_agreement.locating.located import NOWHERE, Found, Operands, locate
from deploy_agreement.locating.seen import Inspectable, Seen, look

__all__ = ["NOWHERE", "Found", "Inspectable", "Operands", "Seen", "locate", "look"]
