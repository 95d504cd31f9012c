"""Documents of calls and back: what tests of several modules begin with."""

import json

import msgspec

from svcmock_protocols.http import documents, plugin
from tests.protocols.http.grpc.shop import Files, call, context, encoded

KNOWN, BLIND = context(), context(known=False)
TEA = encoded("Item", id=42, name="Tea")
ID = encoded("Id", id=42)


def request(doc, where=KNOWN, held=None):
    return documents.request(msgspec.convert(doc, plugin.RequestDoc), Files(held), where)


def reply(doc, where=KNOWN, asked=None, held=None):
    return documents.reply(msgspec.convert(doc, plugin.ReplyDoc), Files(held), where, asked or call(ID))


def shown(asked, answered, where=KNOWN):
    made = documents.dump(asked, answered, where)
    assert json.loads(json.dumps([made.request, made.respond])) == [made.request, made.respond]
    return made


def survives(asked, answered, where=KNOWN):
    made = shown(asked, answered, where)
    assert request(made.request, where, made.files) == asked
    again = reply(made.respond, where, asked, made.files)
    assert documents.same(again, answered), made.respond
    return made
