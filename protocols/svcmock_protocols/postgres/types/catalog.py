"""The names and oids of PostgreSQL's own types, as the catalog `pg_type` has them since version 14.

Oids below 10000 are fixed for ever. Types that a database makes itself (enums, domains, tables' rows) have
others in each database, and are not here.
"""

from collections.abc import Mapping

# name, oid, oid of the array
_TYPES = """
bool 16 1000
bytea 17 1001
char 18 1002
name 19 1003
int8 20 1016
int2 21 1005
int2vector 22 1006
int4 23 1007
regproc 24 1008
text 25 1009
oid 26 1028
tid 27 1010
xid 28 1011
cid 29 1012
oidvector 30 1013
json 114 199
xml 142 143
pg_node_tree 194 0
point 600 1017
lseg 601 1018
path 602 1019
box 603 1020
polygon 604 1027
line 628 629
cidr 650 651
float4 700 1021
float8 701 1022
unknown 705 0
circle 718 719
macaddr8 774 775
money 790 791
macaddr 829 1040
inet 869 1041
aclitem 1033 1034
bpchar 1042 1014
varchar 1043 1015
date 1082 1182
time 1083 1183
timestamp 1114 1115
timestamptz 1184 1185
interval 1186 1187
timetz 1266 1270
bit 1560 1561
varbit 1562 1563
numeric 1700 1231
refcursor 1790 2201
regprocedure 2202 2207
regoper 2203 2208
regoperator 2204 2209
regclass 2205 2210
regtype 2206 2211
record 2249 2287
cstring 2275 1263
void 2278 0
uuid 2950 2951
txid_snapshot 2970 2949
pg_lsn 3220 3221
tsvector 3614 3643
tsquery 3615 3645
gtsvector 3642 3644
regconfig 3734 3735
regdictionary 3769 3770
jsonb 3802 3807
int4range 3904 3905
numrange 3906 3907
tsrange 3908 3909
tstzrange 3910 3911
daterange 3912 3913
int8range 3926 3927
jsonpath 4072 4073
regnamespace 4089 4090
regrole 4096 4097
regcollation 4191 4192
int4multirange 4451 6150
nummultirange 4532 6151
tsmultirange 4533 6152
tstzmultirange 4534 6153
datemultirange 4535 6155
int8multirange 4536 6157
pg_snapshot 5038 5039
xid8 5069 271
"""

_ALIASES = {
    "bigint": "int8",
    "bit varying": "varbit",
    "boolean": "bool",
    '"char"': "char",
    "character": "bpchar",
    "character varying": "varchar",
    "decimal": "numeric",
    "double precision": "float8",
    "float": "float8",
    "int": "int4",
    "integer": "int4",
    "real": "float4",
    "smallint": "int2",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}

_ROWS = [
    (name, int(oid), int(array)) for name, oid, array in (line.split() for line in _TYPES.split("\n")[1:-1])
]

ARRAYS: Mapping[int, int] = {array: oid for _, oid, array in _ROWS if array}
"""The oid of an array, and that of its elements."""
_NAMES = {oid: name for name, oid, _ in _ROWS} | {array: f"_{name}" for name, _, array in _ROWS if array}
_OIDS = {name: oid for oid, name in _NAMES.items()}


def name(oid: int) -> str | None:
    """The type's name in `pg_type`: `int4`, and `_int4` for its array. None for one that is not built in."""
    return _NAMES.get(oid)


def oid(name: str) -> int | None:
    """The type of this name. SQL's own names (`integer`, `timestamp with time zone`) and `int4[]` do too."""
    known = _OIDS.get(name)
    if known is not None:
        return known
    plain = " ".join(name.lower().split())
    if plain.endswith("[]"):
        element = plain.removesuffix("[]").rstrip()
        return _OIDS.get("_" + _ALIASES.get(element, element))
    return _OIDS.get(_ALIASES.get(plain, plain))
