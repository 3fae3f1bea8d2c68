"""Clients of the firm."""

from graph.clients.lists import CLIENTS, ClientQueries
from graph.clients.mutations import ClientMutations
from graph.clients.types import Client

__all__ = ["CLIENTS", "Client", "ClientMutations", "ClientQueries"]
