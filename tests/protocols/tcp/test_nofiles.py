"""Options name no files."""

import pytest

from svcmock.protocol import Blob, Invalid
from svcmock_protocols.tcp.nofiles import NO_FILES


def test_a_file_is_refused_with_what_to_do() -> None:
    with pytest.raises(Invalid, match="expected text"):
        NO_FILES("bodies/x")
    with pytest.raises(Invalid, match="no file is read here"):
        NO_FILES.read(Blob("x", 1))
