"""Which runs start again, which are ended, and what becomes of images that nobody works on."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.records import Action, ImageStatus
from catalog.rules.upkeep.recovery import (
    END,
    END_CANCELLED,
    GIVE_UP_MOVE,
    MARK,
    MAX_RECOVERIES,
    RESTART,
    STOP,
    WITHDRAW,
    SeenImage,
    SeenRun,
    plan_recovery,
)
from tests.catalog.samples import START

STALE_S = 120.0
LONG_AGO = START - timedelta(hours=1)


def a_run(**fields: object) -> SeenRun:
    given = {
        "id": "r",
        "name": "add x",
        "state": "CRASHED",
        "state_id": "s",
        "state_at": LONG_AGO,
        "last_sign_at": LONG_AGO,
    }
    return SeenRun.model_validate({**given, **fields})


def an_image(**fields: object) -> SeenImage:
    given = {"id": "i", "name": "x", "status": ImageStatus.DOWNLOADING, "changed_at": LONG_AGO}
    return SeenImage.model_validate({**given, **fields})


def planned(*seen: SeenRun | SeenImage) -> tuple[Action, ...]:
    runs = [one for one in seen if isinstance(one, SeenRun)]
    images = [one for one in seen if isinstance(one, SeenImage)]
    return plan_recovery(runs, images, START, STALE_S, catalog_now=START)


def verbs(*seen: SeenRun | SeenImage) -> list[tuple[str, str]]:
    return [(action.verb, action.subject) for action in planned(*seen)]


@pytest.mark.parametrize("state", ["CRASHED", "RUNNING", "PENDING"])
def test_a_dead_run_starts_again(state: str) -> None:
    assert verbs(a_run(state=state)) == [(RESTART, "run:r")]


def test_silence_counts_from_its_boundary_on() -> None:
    at_boundary = START - timedelta(seconds=STALE_S)
    assert verbs(a_run(state="RUNNING", last_sign_at=at_boundary)) == [(RESTART, "run:r")]
    assert not verbs(a_run(state="RUNNING", last_sign_at=at_boundary + timedelta(microseconds=1)))


def test_a_silent_run_whose_process_is_seen_running_is_left_alone() -> None:
    assert not verbs(a_run(state="RUNNING", alive=True))


def test_a_run_is_started_again_three_times_and_then_ended_with_the_way_to_resume_its_image() -> None:
    for recoveries in range(MAX_RECOVERIES):
        assert verbs(a_run(recoveries=recoveries, image_id="i")) == [(RESTART, "run:r")]
    ended, marked = planned(a_run(recoveries=MAX_RECOVERIES, image_id="i"))
    assert (ended.verb, marked.verb, marked.subject) == (END, MARK, "image:i")
    assert ended.reason == marked.reason
    assert "died 4 times" in marked.reason
    assert "image_id i" in marked.reason


def test_a_recovery_that_died_is_ended_and_not_started_again() -> None:
    assert verbs(a_run(state="RUNNING", next_comes=True)) == [(END, "run:r")]
    assert not verbs(a_run(state="RUNNING", next_comes=True, last_sign_at=START))


def test_an_add_whose_image_was_deleted_meanwhile_does_not_bring_it_back() -> None:
    assert verbs(a_run(image_id="i", image_gone=True)) == [(END_CANCELLED, "run:r")]


def test_a_cancelled_add_that_goes_on_is_told_to_stop_once_a_worker_had_its_time() -> None:
    going_on = a_run(state="CANCELLING", last_sign_at=START, image_id="i")
    assert verbs(going_on) == [(STOP, "image:i")]
    for left_alone in (
        {"state_at": START - timedelta(seconds=STALE_S - 1)},
        {"image_gone": True},
        {"image_id": None},
        {"state": "RUNNING"},
    ):
        assert not verbs(going_on.model_copy(update=left_alone))


@pytest.mark.parametrize("fields", [{"state": "CANCELLING"}, {"state": "CRASHED", "cancelling": True}])
def test_a_cancellation_that_died_is_finished(fields: dict[str, object]) -> None:
    assert verbs(a_run(image_id="i", **fields)) == [(END_CANCELLED, "run:r"), (WITHDRAW, "image:i")]


def test_a_run_that_is_said_to_be_crashed_need_not_be_silent() -> None:
    assert verbs(a_run(state="CRASHED", last_sign_at=START)) == [(RESTART, "run:r")]


def test_an_image_of_a_run_that_needs_recovery_is_that_runs_matter() -> None:
    assert verbs(a_run(image_id="i"), an_image()) == [(RESTART, "run:r")]


@pytest.mark.parametrize("run_state", [None, "FAILED", "COMPLETED", "CRASHED", "RUNNING"])
def test_an_arriving_image_that_nobody_works_on_says_how_it_is_resumed(run_state: str | None) -> None:
    (action,) = planned(an_image(run_state=run_state))
    assert action.verb == MARK
    assert "image_id i" in action.reason


@pytest.mark.parametrize(
    "fields",
    [
        {"holder_may_live": True},
        {"run_state": "SCHEDULED"},
        {"run_state": "PAUSED"},
        {"changed_at": START},
    ],
)
def test_an_image_that_somebody_may_work_on_is_left_alone(fields: dict[str, object]) -> None:
    assert not verbs(an_image(**fields))


def test_the_image_of_a_cancelled_add_vanishes() -> None:
    assert verbs(an_image(run_state="CANCELLED", changed_at=START)) == [(WITHDRAW, "image:i")]


def test_an_image_whose_move_died_stays_where_it_is() -> None:
    assert verbs(an_image(status=ImageStatus.MIGRATING)) == [(GIVE_UP_MOVE, "image:i")]
    assert verbs(an_image(status=ImageStatus.MIGRATING, run_state="CANCELLED")) == [(GIVE_UP_MOVE, "image:i")]


@given(
    state=st.sampled_from(["CRASHED", "RUNNING", "PENDING", "CANCELLING"]),
    silent_s=st.floats(0, 1e6),
    recoveries=st.integers(0, 10),
    alive=st.booleans(),
    gone=st.booleans(),
)
def test_no_run_is_started_while_it_may_live_or_too_often(
    state: str, silent_s: float, recoveries: int, alive: bool, gone: bool
) -> None:
    last = START - timedelta(seconds=silent_s)
    run = a_run(state=state, last_sign_at=last, recoveries=recoveries, alive=alive, image_gone=gone, image_id="i")
    restarted = (RESTART, "run:r") in verbs(run)
    may_live = state != "CRASHED" and (alive or silent_s < STALE_S)
    assert not (restarted and (may_live or recoveries >= MAX_RECOVERIES or gone or state == "CANCELLING"))
