"""Where a request came from."""

import ipaddress
from functools import lru_cache
from typing import Final

import msgspec

LONGEST_DEVICE: Final = 300
# What a provider gives to one customer: of an IPv6 address the rest is the client's to choose.
NETWORK_BITS: Final = 64


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


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What everybody at an address is counted by: the address itself, or for IPv6 its network of 64 bits.

    What is no address, as that of a socket of the machine itself, stays as it is.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), NETWORK_BITS), strict=False))
