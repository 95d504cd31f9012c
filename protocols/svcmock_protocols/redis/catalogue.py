"""What is known of commands by their names: how many arguments they take and where their keys stand.

From the tables of Redis 7 (`COMMAND`). A command that is not here, of a module or of a later version, is as
good as any other: it only has no keys to show, and the mock does not know whether a server would take it.
"""

from typing import Final

from svcmock_protocols.redis.messages import Args

# Arity as Redis has it: the name counts, and a negative number is the least there must be.
_ARITIES: Final = """
ACL:-2 APPEND:3 ASKING:1 AUTH:-2 BGREWRITEAOF:1 BGSAVE:-1 BITCOUNT:-2 BITFIELD:-2 BITFIELD_RO:-2 BITOP:-4
BITPOS:-3 BLMOVE:6 BLMPOP:-5 BLPOP:-3 BRPOP:-3 BRPOPLPUSH:4 BZMPOP:-5 BZPOPMAX:-3 BZPOPMIN:-3 CLIENT:-2
CLUSTER:-2 COMMAND:-1 CONFIG:-2 COPY:-3 DBSIZE:1 DEBUG:-2 DECR:2 DECRBY:3 DEL:-2 DISCARD:1 DUMP:2 ECHO:2
EVAL:-3 EVALSHA:-3 EVALSHA_RO:-3 EVAL_RO:-3 EXEC:1 EXISTS:-2 EXPIRE:-3 EXPIREAT:-3 EXPIRETIME:2 FAILOVER:-1
FCALL:-3 FCALL_RO:-3 FLUSHALL:-1 FLUSHDB:-1 FUNCTION:-2 GEOADD:-5 GEODIST:-4 GEOHASH:-2 GEOPOS:-2 GEORADIUS:-6
GEORADIUSBYMEMBER:-5 GEORADIUSBYMEMBER_RO:-5 GEORADIUS_RO:-6 GEOSEARCH:-7 GEOSEARCHSTORE:-8 GET:2 GETBIT:3
GETDEL:2 GETEX:-2 GETRANGE:4 GETSET:3 HDEL:-3 HELLO:-1 HEXISTS:3 HEXPIRE:-6 HEXPIREAT:-6 HEXPIRETIME:-5 HGET:3
HGETALL:2 HGETDEL:-5 HGETEX:-5 HINCRBY:4 HINCRBYFLOAT:4 HKEYS:2 HLEN:2 HMGET:-3 HMSET:-4 HPERSIST:-5
HPEXPIRE:-6 HPEXPIREAT:-6 HPEXPIRETIME:-5 HPTTL:-5 HRANDFIELD:-2 HSCAN:-3 HSET:-4 HSETEX:-6 HSETNX:4 HSTRLEN:3
HTTL:-5 HVALS:2 INCR:2 INCRBY:3 INCRBYFLOAT:3 INFO:-1 KEYS:2 LASTSAVE:1 LATENCY:-2 LCS:-3 LINDEX:3 LINSERT:5
LLEN:2 LMOVE:5 LMPOP:-4 LOLWUT:-1 LPOP:-2 LPOS:-3 LPUSH:-3 LPUSHX:-3 LRANGE:4 LREM:4 LSET:4 LTRIM:4 MEMORY:-2
MGET:-2 MIGRATE:-6 MODULE:-2 MONITOR:1 MOVE:3 MSET:-3 MSETNX:-3 MULTI:1 OBJECT:-2 PERSIST:2 PEXPIRE:-3
PEXPIREAT:-3 PEXPIRETIME:2 PFADD:-2 PFCOUNT:-2 PFMERGE:-2 PING:-1 PSETEX:4 PSUBSCRIBE:-2 PSYNC:-3 PTTL:2
PUBLISH:3 PUBSUB:-2 PUNSUBSCRIBE:-1 QUIT:-1 RANDOMKEY:1 READONLY:1 READWRITE:1 RENAME:3 RENAMENX:3 REPLCONF:-1
REPLICAOF:3 RESET:1 RESTORE:-4 ROLE:1 RPOP:-2 RPOPLPUSH:3 RPUSH:-3 RPUSHX:-3 SADD:-3 SAVE:1 SCAN:-2 SCARD:2
SCRIPT:-2 SDIFF:-2 SDIFFSTORE:-3 SELECT:2 SET:-3 SETBIT:4 SETEX:4 SETNX:3 SETRANGE:4 SHUTDOWN:-1 SINTER:-2
SINTERCARD:-3 SINTERSTORE:-3 SISMEMBER:3 SLAVEOF:3 SLOWLOG:-2 SMEMBERS:2 SMISMEMBER:-3 SMOVE:4 SORT:-2
SORT_RO:-2 SPOP:-2 SPUBLISH:3 SRANDMEMBER:-2 SREM:-3 SSCAN:-3 SSUBSCRIBE:-2 STRLEN:2 SUBSCRIBE:-2 SUBSTR:4
SUNION:-2 SUNIONSTORE:-3 SUNSUBSCRIBE:-1 SWAPDB:3 SYNC:1 TIME:1 TOUCH:-2 TTL:2 TYPE:2 UNLINK:-2 UNSUBSCRIBE:-1
UNWATCH:1 WAIT:3 WAITAOF:4 WATCH:-2 XACK:-4 XADD:-5 XAUTOCLAIM:-6 XCLAIM:-6 XDEL:-3 XGROUP:-2 XINFO:-2 XLEN:2
XPENDING:-3 XRANGE:-4 XREAD:-4 XREADGROUP:-7 XREVRANGE:-4 XSETID:-3 XTRIM:-4 ZADD:-4 ZCARD:2 ZCOUNT:4 ZDIFF:-3
ZDIFFSTORE:-4 ZINCRBY:4 ZINTER:-3 ZINTERCARD:-3 ZINTERSTORE:-4 ZLEXCOUNT:4 ZMPOP:-4 ZMSCORE:-3 ZPOPMAX:-2
ZPOPMIN:-2 ZRANDMEMBER:-2 ZRANGE:-4 ZRANGEBYLEX:-4 ZRANGEBYSCORE:-4 ZRANGESTORE:-5 ZRANK:-3 ZREM:-3
ZREMRANGEBYLEX:4 ZREMRANGEBYRANK:4 ZREMRANGEBYSCORE:4 ZREVRANGE:-4 ZREVRANGEBYLEX:-4 ZREVRANGEBYSCORE:-4
ZREVRANK:-3 ZSCAN:-3 ZSCORE:3 ZUNION:-3 ZUNIONSTORE:-4
"""
ARITY: Final = {word.partition(":")[0].encode(): int(word.partition(":")[2]) for word in _ARITIES.split()}
"""Arities by name."""

CONTAINERS: Final = frozenset(
    b"""ACL CLIENT CLUSTER COMMAND CONFIG FUNCTION LATENCY MEMORY MODULE OBJECT PUBSUB SCRIPT SENTINEL SLOWLOG
    XGROUP XINFO""".split()
)
"""Commands whose first argument is part of the name."""

_KEYLESS: Final = frozenset(
    b"""ASKING AUTH BGREWRITEAOF BGSAVE DBSIZE DEBUG DISCARD ECHO EXEC FAILOVER FLUSHALL FLUSHDB HELLO INFO KEYS
    LASTSAVE LOLWUT MIGRATE MONITOR MULTI PING PSUBSCRIBE PSYNC PUBLISH PUNSUBSCRIBE QUIT RANDOMKEY READONLY
    READWRITE REPLCONF REPLICAOF RESET ROLE SAVE SCAN SELECT SHUTDOWN SLAVEOF SPUBLISH SSUBSCRIBE SUBSCRIBE
    SUNSUBSCRIBE SWAPDB SYNC TIME UNSUBSCRIBE UNWATCH WAIT WAITAOF""".split()
)
_PLACES: Final = {
    **dict.fromkeys(
        b"""DEL UNLINK EXISTS TOUCH MGET WATCH SDIFF SINTER SUNION SDIFFSTORE SINTERSTORE SUNIONSTORE PFCOUNT
        PFMERGE""".split(),
        slice(1, None),
    ),
    **dict.fromkeys(
        b"""BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE
        ZRANGESTORE""".split(),
        slice(1, 3),
    ),
    **dict.fromkeys(b"BLPOP BRPOP BZPOPMAX BZPOPMIN".split(), slice(1, -1)),
    **dict.fromkeys(b"MSET MSETNX".split(), slice(1, None, 2)),
    b"BITOP": slice(2, None),
}
"""Where the keys of a command are, if there is more than the first argument."""
_COUNTED: Final = frozenset(b"LMPOP ZMPOP ZDIFF ZINTER ZUNION SINTERCARD ZINTERCARD".split())
_COUNTED_SECOND: Final = frozenset(
    b"""BLMPOP BZMPOP EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO ZDIFFSTORE ZINTERSTORE
    ZUNIONSTORE""".split()
)
_STORES: Final = frozenset(b"ZDIFFSTORE ZINTERSTORE ZUNIONSTORE".split())
_STREAMS: Final = frozenset(b"XREAD XREADGROUP".split())
_STORING: Final = frozenset(b"GEORADIUS GEORADIUSBYMEMBER SORT".split())
"""Commands that write to another key where an option says so."""
_MOVABLE: Final = _COUNTED | _COUNTED_SECOND | _STREAMS | _STORING | {b"MIGRATE", b"SORT_RO"}
"""Commands whose keys are found by reading all of it."""
_PUBSUB: Final = frozenset(
    b"PSUBSCRIBE PUBLISH PUNSUBSCRIBE SPUBLISH SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE".split()
)
_BELOW: Final = frozenset(
    {
        (b"MEMORY", b"USAGE"),
        *((b"OBJECT", sub) for sub in b"ENCODING FREQ IDLETIME REFCOUNT".split()),
        *((b"XINFO", sub) for sub in b"STREAM GROUPS CONSUMERS".split()),
        *((b"XGROUP", sub) for sub in b"CREATE CREATECONSUMER DELCONSUMER DESTROY SETID".split()),
    }
)

READS: Final = frozenset(
    b"""BITCOUNT BITFIELD_RO BITPOS DBSIZE DUMP EVALSHA_RO EVAL_RO EXISTS EXPIRETIME FCALL_RO GEODIST GEOHASH
    GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GET GETBIT GETRANGE HEXISTS HEXPIRETIME HGET HGETALL
    HKEYS HLEN HMGET HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSTRLEN HTTL HVALS KEYS LCS LINDEX LLEN LPOS LRANGE
    MEMORY MGET OBJECT PEXPIRETIME PFCOUNT PTTL RANDOMKEY SCAN SCARD SDIFF SINTER SINTERCARD SISMEMBER SMEMBERS
    SMISMEMBER SORT_RO SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TOUCH TTL TYPE XINFO XLEN XPENDING XRANGE XREAD
    XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX
    ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION""".split()
)
"""Commands that change nothing."""


def name_of(args: Args) -> bytes:
    """The name of a command, with its subcommand where it has one: `CONFIG GET`."""
    if args[0] in CONTAINERS and len(args) > 1:
        return args[0] + b" " + args[1].upper()
    return args[0]


def is_doubtful(args: Args) -> bool:
    """Whether a server might refuse to queue this: by how many arguments it has, or as it is unknown here."""
    return args[0] not in ARITY or is_miscounted(args)


def is_miscounted(args: Args) -> bool:
    """Whether a command that is known here has fewer or more arguments than it takes."""
    arity = ARITY.get(args[0], -1)
    return len(args) != arity if arity > 0 else len(args) < -arity


def keys(args: Args) -> Args:
    """The keys of a command, in their order."""
    name = args[0]
    if name in CONTAINERS:
        return args[2:3] if len(args) > 2 and (name, args[1].upper()) in _BELOW else ()
    if name not in ARITY or name in _KEYLESS:
        return ()
    placed = _PLACES.get(name)
    if placed is not None:
        return args[placed]
    if name in _STREAMS:
        return _streams(args)
    if name in _COUNTED:
        return _counted(args, 1)
    if name in _COUNTED_SECOND:
        return (args[1:2] if name in _STORES else ()) + _counted(args, 2)
    return args[1:2] + (_stored(args) if name in _STORING else ())


def flags(name: bytes) -> tuple[bytes, ...]:
    """What COMMAND says of a command, as far as clients look at it: those of clusters send it by that."""
    if name in _PUBSUB:
        return (b"pubsub",)
    found: tuple[bytes, ...] = ()
    if name not in CONTAINERS and (name in READS or name not in _KEYLESS):
        found = (b"readonly",) if name in READS else (b"write",)
    return (*found, b"movablekeys") if name in _MOVABLE else found


def span(name: bytes) -> tuple[int, int, int]:
    """Where COMMAND says the keys of a command are: the first, the last and the step; zeros for none."""
    if name in _KEYLESS or name in CONTAINERS or name in _COUNTED or name in _STREAMS:
        return 0, 0, 0
    if name in _COUNTED_SECOND:
        return (1, 1, 1) if name in _STORES else (0, 0, 0)
    placed = _PLACES.get(name, slice(1, 2))
    last = -1 if placed.stop is None else placed.stop - 1
    return placed.start, last, placed.step or 1


def _counted(args: Args, at: int) -> Args:
    number = args[at] if len(args) > at else b""
    return args[at + 1 : at + 1 + int(number)] if number.isdigit() and len(number) < 8 else ()


def _streams(args: Args) -> Args:
    start = next((at for at, arg in enumerate(args) if arg.upper() == b"STREAMS"), len(args)) + 1
    return args[start : start + (len(args) - start) // 2]


def _stored(args: Args) -> Args:
    """The key to which SORT and GEORADIUS write: the one behind the last STORE or STOREDIST."""
    places = [at for at in range(2, len(args) - 1) if args[at].upper() in {b"STORE", b"STOREDIST"}]
    return (args[places[-1] + 1],) if places else ()
