"""Everything that touches sockets, TLS and the event loop. Nothing below this package may."""
