"""The author of a decision is the logged-in user, even if the system knows no name for them."""

from datetime import UTC, datetime, timedelta

import pytest

from cli import context


def test_a_decision_bears_name_time_and_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context.getpass, "getuser", lambda: "ann")
    made = context.by("because")
    assert (made.name, made.reason) == ("ann", "because")
    assert abs(datetime.now(UTC) - made.at) < timedelta(minutes=5)


@pytest.mark.parametrize("error", [KeyError("uid"), OSError("no user")])
def test_a_user_without_a_name_can_decide(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(context.getpass, "getuser", fail)
    assert context.by("because").name == "unknown"
