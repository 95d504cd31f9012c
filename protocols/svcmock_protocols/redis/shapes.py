"""What a command's reply looks like in RESP2 and in RESP3, where it is not said in the same form.

A server gives HGETALL as a flat list to who speaks RESP2 and as a map to who speaks RESP3. A recording has one
of them; `fit` makes the other of it, so that any client may be served from it. A value that already has the
right form, or has none that is known, is left alone.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from svcmock_protocols.redis.catalogue import name_of
from svcmock_protocols.redis.messages import Args, Array, Attributed, Double, Map, Nil, Value

Shape: TypeAlias = Callable[[Value], Value]

_WITH: Final = frozenset({b"WITHSCORES", b"WITHVALUES", b"WITHSCORE"})

# --- to RESP3 -------------------------------------------------------------------------------------------------


def paired(value: Value) -> Value:
    """A flat list as the map that it stands for."""
    if isinstance(value, Array) and value.kind == "array" and len(value.items) % 2 == 0:
        return Map(tuple(zip(value.items[::2], value.items[1::2], strict=True)))
    return value


def each(shape: Shape) -> Shape:
    """A list in which each item has this form."""

    def fitted(value: Value) -> Value:
        if isinstance(value, Array):
            return Array(tuple(map(shape, value.items)), value.kind)
        return value

    return fitted


def _set(value: Value) -> Value:
    return Array(value.items, "set") if isinstance(value, Array) and value.kind == "array" else value


def _double(value: Value) -> Value:
    return Double(value) if isinstance(value, bytes) else value


def _pairs(second: Shape) -> Shape:
    """A flat list of twos as a list of lists, the second of each made what it is."""

    def fitted(value: Value) -> Value:
        if not isinstance(value, Array) or len(value.items) % 2 or any(_is_list(item) for item in value.items):
            return value
        twos = zip(value.items[::2], value.items[1::2], strict=True)
        return Array(tuple(Array((one, second(other))) for one, other in twos))

    return fitted


def _last(value: Value) -> Value:
    """The last item is a score."""
    if isinstance(value, Array) and value.items:
        return Array((*value.items[:-1], _double(value.items[-1])), value.kind)
    return value


def _popped(value: Value) -> Value:
    """A key, and members with their scores."""
    if isinstance(value, Array) and len(value.items) == 2:
        return Array((value.items[0], each(_last)(value.items[1])))
    return value


def _streams(value: Value) -> Value:
    """Streams with their entries."""
    if isinstance(value, Array) and all(_is_list(item) and len(item.items) == 2 for item in value.items):  # type: ignore[union-attr]
        return Map(tuple(item.items for item in value.items))  # type: ignore[union-attr, misc]
    return value


def below(name: bytes, shape: Shape) -> Shape:
    """A map of which the value under a name has a form of its own."""

    def fitted(value: Value) -> Value:
        value = paired(value)
        if isinstance(value, Map):
            return Map(tuple((key, shape(item) if key == name else item) for key, item in value.pairs))
        return value

    return fitted


def _placed(value: Value) -> Value:
    """A place that was found: the list of two in it is where it lies, if it was asked for."""
    if not isinstance(value, Array):
        return value
    return Array(tuple(each(_double)(item) for item in value.items))


def _is_list(value: Value) -> bool:
    return isinstance(value, Array)


_DETAILED_STREAM: Final = below(b"groups", each(below(b"consumers", each(paired))))
"""XINFO STREAM ... FULL."""
_UP: Final[dict[bytes, Shape]] = {
    **dict.fromkeys(
        (b"HGETALL", b"CONFIG GET", b"MEMORY STATS", b"CLIENT TRACKINGINFO", b"ACL GETUSER"), paired
    ),
    **dict.fromkeys((b"XINFO GROUPS", b"XINFO CONSUMERS"), each(paired)),
    **dict.fromkeys((b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF"), _set),
    **dict.fromkeys((b"ZSCORE", b"ZINCRBY"), _double),
    **dict.fromkeys((b"BZPOPMIN", b"BZPOPMAX"), _last),
    **dict.fromkeys((b"ZMPOP", b"BZMPOP"), _popped),
    **dict.fromkeys((b"XREAD", b"XREADGROUP"), _streams),
    **dict.fromkeys((b"GEOSEARCH", b"GEORADIUS", b"GEORADIUSBYMEMBER"), each(_placed)),
    **dict.fromkeys((b"GEORADIUS_RO", b"GEORADIUSBYMEMBER_RO"), each(_placed)),
    b"ZMSCORE": each(_double),
    b"GEOPOS": each(each(_double)),
    b"XINFO STREAM": _DETAILED_STREAM,
    b"CLUSTER SHARDS": each(below(b"nodes", each(paired))),
}
_SCORED: Final = frozenset(
    b"ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZDIFF ZINTER ZUNION ZRANDMEMBER".split()
)


def _up(args: Args) -> Shape | None:
    """What makes RESP3's form of a command's reply, if it is another one."""
    name = args[0]
    known = _UP.get(name)
    if known is not None:
        return known
    if name in _SCORED:
        return _pairs(_double) if _has(args, _WITH) else None
    if name in {b"ZPOPMIN", b"ZPOPMAX"}:
        return _pairs(_double) if len(args) > 2 else _last
    if name == b"HRANDFIELD":
        return _pairs(lambda value: value) if _has(args, _WITH) else None
    if name in {b"ZRANK", b"ZREVRANK"}:
        return _last if _has(args, _WITH) else None
    if name == b"ZADD":
        return _double if _has(args[:6], frozenset({b"INCR"})) else None
    if name == b"SPOP":
        return _set if len(args) > 2 else None
    if name == b"LCS":
        return paired if _has(args, frozenset({b"IDX"})) else None
    return _UP.get(name_of(args))


def _has(args: Args, words: frozenset[bytes]) -> bool:
    return any(arg.upper() in words for arg in args[2:])


# --- to RESP2 -------------------------------------------------------------------------------------------------


def _flat(value: Value) -> Value:
    """A list of twos as a flat one."""
    if isinstance(value, Array) and all(_is_list(item) and len(item.items) == 2 for item in value.items):  # type: ignore[union-attr]
        return Array(tuple(one for item in value.items for one in item.items))  # type: ignore[union-attr]
    return value


def _unmapped(value: Value) -> Value:
    return Array(tuple(Array(pair) for pair in value.pairs)) if isinstance(value, Map) else value


def _no_list(value: Value) -> Value:
    return Nil("array") if isinstance(value, Nil) else value


_NO_LIST: Final = frozenset(
    b"BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN EXEC LMPOP XREAD XREADGROUP ZMPOP".split()
)
"""Commands that say nothing as a list that is not there."""


def _down(args: Args) -> Shape | None:
    name = args[0]
    if name in _SCORED or name == b"HRANDFIELD":
        return _flat if _has(args, _WITH) else None
    if name in {b"ZPOPMIN", b"ZPOPMAX"}:
        return _flat if len(args) > 2 else None
    if name == b"GEOPOS":
        return each(_no_list)
    return _unmapped if name in {b"XREAD", b"XREADGROUP"} else None


def fit(value: Value, args: Args, version: int) -> Value:
    """The reply to a command in the form that a client of this version of RESP expects."""
    if isinstance(value, Attributed):
        return Attributed(value.attributes, fit(value.value, args, version))
    if version == 2 and isinstance(value, Nil) and value.kind == "null":
        return Nil("array") if says_no_list(args) else value
    shape = _up(args) if version == 3 else _down(args)
    return value if shape is None else shape(value)


def says_no_list(args: Args) -> bool:
    """Whether a command says nothing as a list that is not there, in RESP2."""
    return args[0] in _NO_LIST or (args[0] in {b"LPOP", b"RPOP"} and len(args) > 2)


def fit_all(value: Value, commands: tuple[Args, ...], version: int) -> Value:
    """The same for the reply to a transaction."""
    if isinstance(value, Array) and len(value.items) == len(commands):
        fitted = (fit(item, args, version) for item, args in zip(value.items, commands, strict=True))
        return Array(tuple(fitted))
    return fit(value, (b"EXEC",), version)


SHAPED: Final = frozenset(
    {
        *(name.partition(b" ")[0] for name in _UP),
        *_SCORED,
        *_NO_LIST,
        *b"HRANDFIELD LCS LPOP RPOP SPOP ZADD ZPOPMAX ZPOPMIN ZRANK ZREVRANK".split(),
    }
)
"""Names of commands of which a reply may have another form in another version."""
