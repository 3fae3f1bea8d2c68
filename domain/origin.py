"""Where a request came from."""

from typing import Final

import msgspec

LONGEST_DEVICE: Final = 300


class Origin(msgspec.Struct, frozen=True):
    """A request or a socket: its id, the address of its client, and the program that the client says it is.

    `request_id` stands in errors, in the log and in the audit trail. Behind a trusted proxy the address is the one
    that the proxy names.
    """

    request_id: str
    address: str = ""
    device: str = ""


# Where no request has come: commands of whoever runs the server.
COMMAND_LINE: Final = Origin("command line")
