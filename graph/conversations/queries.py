"""Queries of conversations."""

import strawberry

from graph.conversations.lists import CONVERSATIONS, FOUND
from graph.conversations.types import Conversation, Message
from graph.lists import SEARCHES, Connection, listed
from persistence.conversations import Conversations, Messages


@strawberry.type
class ConversationQueries:
    """Queries of conversations."""

    conversations: Connection[Conversation] = listed(
        Conversations.page,
        Conversations.count,
        CONVERSATIONS,
        "The conversations that the viewer takes part in, the one in which was written last before the others.",
    )
    messages: Connection[Message] = listed(
        Messages.page,
        Messages.count,
        FOUND,
        "The messages of all conversations that the viewer takes part in, the latest first, searched by the filter.",
        cost=SEARCHES,
    )
