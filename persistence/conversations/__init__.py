"""Conversations: their rows, and who sees them."""

from persistence.conversations.conversations import Conversations
from persistence.conversations.messages import Messages
from persistence.conversations.news import News, Newsstand
from persistence.conversations.runs import Runs

__all__ = ["Conversations", "Messages", "News", "Newsstand", "Runs"]
