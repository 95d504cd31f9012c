"""Record a service called `app`, switch it off, ask the mock the same."""

from collections.abc import Sequence
from pathlib import Path

from tests.e2e.processes import Svcmock
from tests.e2e.wire import Upstream, ask


def replayed(svcmock: Svcmock, project: Path, requests: Sequence[bytes]) -> list[bytes]:
    """What the mock says to these requests, each on a connection of its own. None of them may miss."""
    mock = svcmock.up(project)
    answers = [ask(mock.ports["app"], request) for request in requests]
    assert mock.status()["services"]["app"]["misses"] == 0
    return answers


def record_and_replay(
    svcmock: Svcmock, project: Path, real: Upstream, requests: Sequence[bytes]
) -> list[bytes]:
    """Record, switch the upstream off, replay: asserts that the bytes are the same, and gives them."""
    recorder = svcmock.record(project, {"app": real.url})
    answers = [ask(recorder.ports["app"], request) for request in requests]
    real.close()
    told = recorder.stop()["app"]
    assert told["recorded"] == told["accepted"] == len(requests), recorder.process.output
    assert replayed(svcmock, project, requests) == answers
    return answers
