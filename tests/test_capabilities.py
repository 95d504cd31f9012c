"""What a plugin may have beyond the contract: found by its members, and by nothing else."""

import pytest

from svcmock import capabilities
from svcmock.capabilities import Conversing, Inquiring, Likening, Opening, Schooled, Unreadable
from svcmock_protocols.http import plugin

ALL = [Conversing, Inquiring, Likening, Opening, Schooled]


class Plain:
    """A plugin without any of them, as far as it matters here."""

    name = "plain"


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_a_plugin_that_has_the_members_is_one(kind: type) -> None:
    assert isinstance(plugin, kind)
    assert not isinstance(Plain(), kind)


def test_one_member_of_two_is_not_enough() -> None:
    class Half:
        def parts(self) -> None: ...

    assert not isinstance(Half(), Conversing)


def test_files_that_cannot_be_read_tell_each_fault() -> None:
    error = Unreadable([("a.proto", 3, 1, "no such type"), ("b.proto", 1, 1, "not found")])
    assert str(error) == "no such type; not found"
    assert error.faults[0] == ("a.proto", 3, 1, "no such type")


def test_every_capability_is_described() -> None:
    kinds = [value for value in vars(capabilities).values() if getattr(value, "_is_runtime_protocol", False)]
    assert [kind.__name__ for kind in kinds if not kind.__doc__] == []
    assert {kind.__name__ for kind in kinds} >= {kind.__name__ for kind in ALL}
