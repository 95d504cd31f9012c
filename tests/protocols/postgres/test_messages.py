"""Requests and replies as values."""

import pickle

from svcmock_protocols.postgres.messages import Column, Raw, Reply, Request, Result, failed, said


def test_a_failure_has_the_fields_that_every_client_reads():
    told = said("23505", "twice", D="Key (id)=(1) already exists.")
    assert told.fields == (
        ("S", "ERROR"),
        ("V", "ERROR"),
        ("C", "23505"),
        ("M", "twice"),
        ("D", "Key (id)=(1) already exists."),
    )
    assert told.get("C") == "23505"
    assert told.get("H") == ""
    assert failed("23505", "twice").failure == said("23505", "twice")


def test_values_can_be_sent_to_another_process():
    request = Request("SELECT $1", ("1", None, Raw(b"\0")), (23,))
    reply = Reply((Result((Column("a"),), (("1",),), "SELECT 1"),), said("1", "2"))
    assert pickle.loads(pickle.dumps((request, reply))) == (request, reply)
