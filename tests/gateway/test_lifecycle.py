"""States change only as the tables say."""

from __future__ import annotations

import pytest

from gateway.errors import StateError
from gateway.lifecycle import TRANSITIONS, AgreementState, GrantState, LinkState, RequestState, SessionState, advance


def test_states_of_different_things_with_one_name_are_kept_apart() -> None:
    # GrantState.OPEN == SessionState.OPEN, since both are the string "open".
    assert advance(GrantState.OPEN, GrantState.REVOKED) is GrantState.REVOKED
    assert advance(SessionState.OPEN, SessionState.FAILED) is SessionState.FAILED


@pytest.mark.parametrize("over", [GrantState.REVOKED, RequestState.DENIED, LinkState.OPENED, SessionState.CLOSED])
def test_what_is_over_stays_over(over) -> None:
    for state in type(over):
        with pytest.raises(StateError):
            advance(over, state)


def test_every_state_has_its_transitions() -> None:
    for kind in (AgreementState, GrantState, LinkState, RequestState, SessionState):
        for state in kind:
            assert all(type(to) is kind for to in TRANSITIONS[kind, state.value])
