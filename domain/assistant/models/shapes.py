"""The shapes that answers are asked for."""

from typing import Annotated

import msgspec


class ConversationTitle(msgspec.Struct, frozen=True):
    """What a conversation is called."""

    title: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=200, description="At most six words, without quotes or a full stop."),
    ]
