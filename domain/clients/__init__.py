"""Clients of the firm: who they are, whose book they are in, and how they change."""

from domain.clients.details import Details, Extras
from domain.clients.entities import (
    Channel,
    Client,
    ClientFilter,
    ClientKind,
    ClientProfile,
    Clients,
    ClientStatus,
    KycStatus,
    RiskProfile,
    Segment,
    TaxId,
)
from domain.clients.verbs import ClientChange, NewClient, archive, create, delete, move, update

__all__ = [
    "Channel",
    "Client",
    "ClientChange",
    "ClientFilter",
    "ClientKind",
    "ClientProfile",
    "ClientStatus",
    "Clients",
    "Details",
    "Extras",
    "KycStatus",
    "NewClient",
    "RiskProfile",
    "Segment",
    "TaxId",
    "archive",
    "create",
    "delete",
    "move",
    "update",
]
