"""States change only as the tables say."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from gateway.errors import StateError
from gateway.lifecycle import (
    TRANSITIONS,
    AgreementState,
    GrantState,
    JobState,
    LinkState,
    OperationState,
    OutsideState,
    ProposalState,
    RequestState,
    SessionState,
    advance,
    is_over,
)

# Written out once more, by the words that stand in databases: whoever changes what may follow what changes it twice.
PICTURE = {
    RequestState: {"waiting": "granted denied expired withdrawn", "granted": "", "denied": "", "expired": "",
                   "withdrawn": ""},
    GrantState: {"open": "revoked expired", "revoked": "", "expired": ""},
    SessionState: {"open": "closed failed", "closed": "", "failed": ""},
    OperationState: {"intended": "done refused failed unknown", "done": "", "refused": "", "failed": "", "unknown": ""},
    AgreementState: {"draft": "confirmed withdrawn", "confirmed": "withdrawn draft", "withdrawn": "draft"},
    LinkState: {"prepared": "ready void", "ready": "opened expired void", "opened": "handed", "handed": "",
                "expired": "", "void": ""},
    ProposalState: {"proposed": "withdrawn active pending done", "withdrawn": "", "active": "done",
                    "pending": "done withdrawn", "done": ""},
    OutsideState: {"open": "ended", "ended": "told", "told": ""},
    JobState: {"asked": "open withdrawn", "open": "taken withdrawn", "taken": "done withdrawn", "done": "",
               "withdrawn": ""},
}  # fmt: skip


def test_states_of_different_things_with_one_name_are_kept_apart() -> None:
    # GrantState.OPEN == SessionState.OPEN, since both are the string "open".
    assert advance(GrantState.OPEN, GrantState.REVOKED) is GrantState.REVOKED
    assert advance(SessionState.OPEN, SessionState.FAILED) is SessionState.FAILED


@pytest.mark.parametrize("kind", PICTURE, ids=lambda kind: kind.__name__)
def test_every_state_becomes_what_it_may_and_nothing_else(kind: Any) -> None:
    assert {str(state) for state in kind} == PICTURE[kind].keys()
    for state in kind:
        may = PICTURE[kind][state.value].split()
        assert is_over(state) is (not may)
        for to in kind:
            if to.value in may:
                assert advance(state, to) is to
                continue
            with pytest.raises(StateError) as refused:
                advance(state, to)
            assert refused.value.message == f"it is {state.value} and cannot become {to.value}"
            assert refused.value.next_step == f"It can become {', '.join(sorted(may)) or 'nothing: it is over'}."


def test_no_state_leads_to_one_of_another_thing() -> None:
    for kind in PICTURE:
        for state in kind:
            assert all(type(to) is kind for to in TRANSITIONS[kind, state.value])
    assert all(issubclass(kind, StrEnum) for kind, _ in TRANSITIONS)
    assert {kind for kind, _ in TRANSITIONS} == PICTURE.keys()
