"""Conversations: talked in, streamed, listed and shared."""

from graph.conversations.live import ConversationSubscriptions
from graph.conversations.mutations import ConversationMutations
from graph.conversations.queries import ConversationQueries

__all__ = ["ConversationMutations", "ConversationQueries", "ConversationSubscriptions"]
