"""The audit trail: who did what, from what to what, in the transaction that did it, sealed in a chain afterwards."""

from persistence.audit.sealing import keep_sealing, seal
from persistence.audit.tables import audit_events, audit_sealed, audit_seals, audit_unsealed
from persistence.audit.trail import AuditTrail
from persistence.audit.verification import Verification
from persistence.audit.writing import Circumstances, write

__all__ = [
    "AuditTrail",
    "Circumstances",
    "Verification",
    "audit_events",
    "audit_sealed",
    "audit_seals",
    "audit_unsealed",
    "keep_sealing",
    "seal",
    "write",
]
