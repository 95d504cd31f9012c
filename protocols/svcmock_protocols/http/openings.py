"""Which HTTP a peer speaks, told by its first bytes: what `svcmock.protocol.Opening` asks for.

Needed where a recorder must say to an upstream with TLS what its client wants, and the client came without TLS;
and where it must say to a client with TLS what an upstream speaks that has none.
"""

from svcmock_protocols.http.h2 import frames


def alpn_for(head: bytes) -> tuple[str, ...] | None:
    """Of a client; None: more must be seen."""
    if frames.PREFACE.startswith(head[: len(frames.PREFACE)]):
        return ("h2",) if len(head) >= len(frames.PREFACE) else None
    return ("http/1.1",)


def knock(name: str) -> bytes:
    """What an HTTP/2 server answers with its settings; one of HTTP/1 does not."""
    return frames.PREFACE + frames.settings({}) if name == "h2" else b""


def answered(data: bytes) -> bool | None:
    """Whether that was an answer of HTTP/2."""
    if not frames.may_be_settings(data):
        return False
    return True if len(data) >= frames.HEADER else None
