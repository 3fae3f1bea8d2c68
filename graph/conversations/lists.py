"""Lists of conversations and messages: what they hold, and what they are ordered by."""

from enum import StrEnum

from domain.conversations.entities import ConversationFilter as DomainConversationFilter
from domain.conversations.entities import MessageFilter as DomainMessageFilter
from domain.conversations.entities import MessageRole, Mode, Module
from domain.paging import Direction, Order
from graph.described import enum, input_
from graph.lists import Lists

for each in (MessageRole, Mode, Module):
    enum(each)


@enum
class ConversationOrderField(StrEnum):
    """What conversations can be ordered by.

    UPDATED_AT: When the last message was posted.
    CREATED_AT: When they were started.
    """

    UPDATED_AT = "UPDATED_AT"
    CREATED_AT = "CREATED_AT"


@input_
class ConversationOrder:
    """What a list of conversations is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: ConversationOrderField
    direction: Direction = Direction.DESC


@input_
class ConversationFilter:
    """Which conversations a list holds: those that fit all that is given.

    module: Those for this.
    mode: Those in which these write.
    archived: Those that are archived, or those that are not; left out, both.
    """

    module: Module | None = None
    mode: Mode | None = None
    archived: bool | None = None


@enum
class MessageOrderField(StrEnum):
    """What messages can be ordered by.

    CREATED_AT: When they were posted.
    """

    CREATED_AT = "CREATED_AT"


@input_
class MessageOrder:
    """What a list of messages is ordered by.

    field: What to order by.
    direction: Which way the list runs.
    """

    field: MessageOrderField
    direction: Direction = Direction.ASC


@input_
class MessageFilter:
    """Which messages a list holds: those that fit all that is given.

    roles: Those of these speakers.
    search: Those with words that begin with each of these, in whatever case and with whatever accents.
    """

    roles: list[MessageRole] | None = None
    search: str | None = None


CONVERSATIONS = Lists(
    ConversationOrder, Order("UPDATED_AT", Direction.DESC), DomainConversationFilter, ConversationFilter
)
MESSAGES = Lists(MessageOrder, Order("CREATED_AT", Direction.ASC), DomainMessageFilter, MessageFilter)
FOUND = Lists(MessageOrder, Order("CREATED_AT", Direction.DESC), DomainMessageFilter, MessageFilter)
