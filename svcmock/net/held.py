"""Addresses that a daemon holds for its services: bound once, given to every process that serves there.

A reload may end one service and begin another at the same address, in another process even; whoever waits to
be accepted must not notice. So the address is bound and released here, and processes get sockets for it.

One process gets the listening socket itself, and so does each of several for a unix path: they take clients
from one queue. For TCP each of several processes gets a socket of its own (SO_REUSEPORT, socket(7)), among
which the kernel spreads new clients. The socket that stays here is bound but does not listen: it keeps the
port, and clients only ever wait where a living process accepts them.
"""

import contextlib
import os
import socket
import sys
from typing import TypeAlias

from svcmock.model import Address, Service, Tcp, Unix
from svcmock.net.listener import BACKLOG, ListenError, address_of, bind, reason

Place: TypeAlias = tuple[str, str]
"""What is listened on, and for port 0, which is another port for each service, the service's name."""

SPREADS = sys.platform == "linux"
"""Whether the system spreads clients over sockets with SO_REUSEPORT. The BSDs give all to the last one."""


def place_of(service: Service) -> Place:
    """Services with equal places may follow each other on one socket."""
    listen = service.listen
    return str(listen), service.name if isinstance(listen, Tcp) and listen.port == 0 else ""


class Held:
    """One address, held from now to `close`. Raises ListenError."""

    def __init__(self, address: Address, processes: int = 1) -> None:
        self._spread = processes > 1 and isinstance(address, Tcp)
        self._socket = bind(address, listens=not self._spread)
        self._path = address.path if isinstance(address, Unix) else None
        self.address = address_of(self._socket)
        """What clients connect to."""
        if self._spread:
            # Not before it is bound: with the option set, binding would succeed beside any other server of
            # this user that has set it, and each would get a share of the clients.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def socket(self) -> socket.socket:
        """A listening socket for one process. Raises ListenError."""
        if not self._spread:
            return self._socket.dup()
        own = socket.socket(self._socket.family, self._socket.type)
        try:
            own.setblocking(False)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            own.bind(self._socket.getsockname())
            own.listen(BACKLOG)
        except OSError as error:
            own.close()
            raise ListenError(f"cannot listen on {self.address}: {reason(error)}") from None
        return own

    def close(self) -> None:
        """Let go of the address. Sockets that were given out go on."""
        self._socket.close()
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)  # noqa: PTH108  as quick as the close above it
