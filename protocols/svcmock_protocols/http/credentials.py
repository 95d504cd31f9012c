"""Which parts of an HTTP message are credentials, and how one is replaced where it stands.

Decides by name. Header fields: HEADERS. Members of a query, a form, a multipart form or a JSON body: MEMBERS.
Both: whatever ends in one of ENDINGS, without regard to case, `_` and `-`; of `user[password]` and
`db.password` the last part counts. A member called just `token` counts only where its value looks like one, as
pages, words and blockchains have tokens too. `options.redact` adds field paths and `options.keep` takes some
out; of a path into a body the last segment counts, at any depth.

A credential becomes its token, and what tells its kind stays: the scheme of an Authorization (RFC 9110 section
11.4), the names of cookies, the attributes of a Set-Cookie (RFC 6265). Schemes that sign each request anew
(Digest, AWS4-HMAC-SHA256, Negotiate) have no value that could come again: all of one scheme are alike.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from msgspec import Struct

Token: TypeAlias = Callable[[bytes], bytes]
"""`Context.token`: a credential's token, and a token itself."""
Found: TypeAlias = dict[bytes, bytes]
"""Credentials seen in an exchange, each with its token: they may occur elsewhere in it too."""

HEADERS: Final = frozenset(
    b"""authorization proxy-authorization authentication-info proxy-authentication-info cookie set-cookie
    cookie2 set-cookie2 x-authorization x-api-key api-key apikey x-apikey x-api-token x-api-secret x-auth-token
    x-auth-key x-access-token x-refresh-token x-id-token x-session-token x-session-id x-client-secret
    x-csrf-token x-csrftoken csrf-token x-xsrf-token x-amz-security-token x-amzn-oidc-accesstoken
    x-amzn-oidc-data x-forwarded-access-token x-goog-api-key x-goog-iap-jwt-assertion x-functions-key
    ocp-apim-subscription-key x-ms-token-aad-access-token x-ms-token-aad-id-token private-token job-token
    deploy-token x-gitlab-token x-vault-token x-consul-token x-nomad-token x-subject-token x-service-token
    x-storage-token x-shopify-access-token x-rapidapi-key dd-api-key dd-application-key circle-token fastly-key
    x-honeycomb-team x-figma-token x-sentry-token x-telegram-bot-api-secret-token cf-access-client-secret
    cf-access-jwt-assertion cf-access-token x-jwt-assertion dpop""".split()
)
MEMBERS: Final = frozenset(
    b"""jwt pwd pass passcode pin otp totp mfacode csrf xsrf csrfmiddlewaretoken authenticitytoken
    requestverificationtoken codeverifier clientassertion samlresponse samlassertion xamzsignature
    xgoogsignature sig
    credential sessionkey bearer authorization""".split()
)
ENDINGS: Final = tuple(
    b"""password passwd passphrase secret apikey apitoken accesstoken refreshtoken idtoken authtoken
    authorizationtoken sessiontoken securitytoken bearertoken logintoken csrftoken xsrftoken secretkey
    secretaccesskey privatekey accountkey masterkey""".split()
)
URL_HEADERS: Final = frozenset({b"location", b"content-location", b"referer", b"link", b"refresh"})
"""Fields that hold URLs, and so may hold credentials in a query."""
TOKEN_MIN: Final = 16
"""Bytes from which the value of a member called `token` is taken for a credential."""
NAME_MAX: Final = 64
"""Bytes of a name up to which its verdict is remembered."""
SECRET_MIN: Final = 8
"""Bytes from which a credential is looked for in the rest of its exchange; shorter ones occur by chance."""

_SIGNING = frozenset({b"digest", b"negotiate", b"ntlm", b"hawk", b"oauth", b"signature", b"mac"})
_ONE_WORD = re.compile(rb'[^\s,="]+=*')
_SIGNED_PART = re.compile(rb'(?i)\b(?:response|signature|mac|oauth_token|oauth_signature)="?([^",\s]+)')
_AUTHORIZATIONS = frozenset({b"authorization", b"proxy-authorization", b"x-authorization"})
_COOKIES = frozenset({b"cookie", b"cookie2"})


class Names:
    """Lower-cased names of header fields: those listed, and those that end like a credential's."""

    def __init__(self, listed: frozenset[bytes], kept: frozenset[bytes]) -> None:
        @lru_cache(maxsize=4096)
        def holds(name: bytes) -> bool:
            return name not in kept and (name in listed or _normal(name).endswith(ENDINGS))

        self._holds = holds

    def __contains__(self, name: bytes) -> bool:
        # names come from the network: only short ones are remembered
        return self._holds(name) if len(name) <= NAME_MAX else self._holds.__wrapped__(name)

    def isdisjoint(self, names: Iterable[bytes]) -> bool:
        """Whether none of these is among them."""
        return not any(name in self for name in names)


class Rules(Struct, frozen=True, eq=False):
    """What counts as a credential for one service. Made by `rules`, once for the same options."""

    headers: Names
    member: Callable[[bytes], bool]
    """Whether a member of a query, form or body with this name, as sent, holds a credential."""
    pair: Callable[[bytes], bool]
    """The same for a query or a form, where a `Signature` spelled like this is a signed URL's, too."""
    kept_cookies: frozenset[bytes]
    looked_into: Names
    """All fields that may hold a credential: `headers`, and those that hold URLs."""


@lru_cache(maxsize=64)
def rules(redact: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> Rules:
    """The rules of a service whose options say `redact` and `keep`."""
    listed, open_ = HEADERS | _below(redact, "headers"), _below(keep, "headers")
    added, kept = frozenset(_members(redact)), frozenset(_members(keep))

    @lru_cache(maxsize=4096)
    def member(name: bytes) -> bool:
        plain = _normal(name)
        if plain in kept:
            return False
        return plain in added or plain == b"token" or plain in MEMBERS or plain.endswith(ENDINGS)

    def pair(name: bytes) -> bool:
        return member(name) or (name == b"Signature" and b"signature" not in kept)

    cookies = frozenset(path[8:].encode() for path in keep if path.startswith("cookies."))
    return Rules(
        headers=Names(listed, open_),
        member=member,
        pair=pair,
        kept_cookies=cookies,
        looked_into=Names(listed | URL_HEADERS, open_ - URL_HEADERS),
    )


def _below(paths: Iterable[str], root: str) -> frozenset[bytes]:
    roots = (f"{root}.", "metadata.")
    return frozenset(p.partition(".")[2].lower().encode() for p in paths if p.startswith(roots))


def _members(paths: Iterable[str]) -> list[bytes]:
    roots = ("query.", "form.", "multipart.", "json.", "message.", "messages.")
    return [_normal(path.encode()) for path in paths if path.startswith(roots)]


def _normal(name: bytes) -> bytes:
    plain = unquote_to_bytes(name).lower()
    if plain.endswith(b"]"):
        plain = plain.removesuffix(b"[]").rpartition(b"[")[2].rstrip(b"]")
    return plain.rpartition(b".")[2].translate(None, b"_- ")


def holds_credential(name: bytes, value: bytes) -> bool:
    """For a member that `Rules.member` takes by its name: whether its value is worth hiding."""
    if _normal(name) != b"token":
        return bool(value)
    return len(value) >= TOKEN_MIN and not re.search(rb"\s", value)


# --- values of header fields --------------------------------------------------------------------------


def hide(lower_name: bytes, value: bytes, token: Token, found: Found, known: Rules) -> bytes:
    """The value of a credential field with tokens in place of what is secret in it, noted in `found`."""
    if lower_name in _AUTHORIZATIONS:
        return _authorization(value, token, found)
    if lower_name in _COOKIES:
        return b";".join(_cookie(part, token, found, known) for part in value.split(b";"))
    if lower_name == b"set-cookie":
        pair, semicolon, attributes = value.partition(b";")
        return _cookie(pair, token, found, known) + semicolon + attributes
    return note(value, token, found)


def note(secret: bytes, token: Token, found: Found) -> bytes:
    """The token of `secret`; both are noted. Nothing is no secret."""
    if not secret:
        return secret
    made = token(secret)
    if made != secret:
        found[secret] = made
    return made


def _authorization(value: bytes, token: Token, found: Found) -> bytes:
    scheme, space, rest = value.partition(b" ")
    rest = rest.strip(b" \t")
    if not space or not rest:
        return note(value, token, found)
    if scheme.lower() in _SIGNING or not _ONE_WORD.fullmatch(rest):
        made = token(rest) if token(rest) == rest else token(scheme.lower())
        if made != rest:
            found[rest] = made
            found.update((part, token(part)) for part in _SIGNED_PART.findall(rest))
        return scheme + b" " + made
    if scheme.lower() == b"basic":
        _note_basic(rest, token, found)
    return scheme + b" " + note(rest, token, found)


def _note_basic(coded: bytes, token: Token, found: Found) -> None:
    """RFC 7617: the password inside, too, must not turn up elsewhere."""
    try:
        pair = base64.b64decode(coded, validate=True)
    except binascii.Error:
        return
    note(pair, token, found)
    note(pair.partition(b":")[2], token, found)


def _cookie(part: bytes, token: Token, found: Found, known: Rules) -> bytes:
    name, equals, value = part.partition(b"=")
    if not equals:
        name, value = b"", part
    elif name.strip(b" \t") in known.kept_cookies:
        return part
    core = value.strip(b" \t")
    if core[:1] == b'"' and core[-1:] == b'"' and len(core) > 2:
        note(core[1:-1], token, found)
    return name + equals + (value.replace(core, note(core, token, found), 1) if core else value)
