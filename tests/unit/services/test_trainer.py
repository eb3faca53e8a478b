"""The trainer: rounds that are replaced while they run, work that counts exactly once, and learners that fail."""

import math
from dataclasses import replace

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from peer.telemetry.round_events import Evaluated, RoundTrained, TasksTrained, TrainingDiverged
from peer.types import Digest
from peer.wire.messages import RosterEntry
from tests.unit.services.school import ME, LosingAgent, OneTaskAgent, TwoTaskAgent, piece, school


async def test_a_round_is_announced_once_when_its_time_is_over(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.opens(1, at=5.0)
        await trio.sleep(20.0)
        ((at, work),) = made.announced
        assert at == pytest.approx(2.0, abs=0.06)
        assert work.env_steps == pytest.approx(2000, abs=60)
        assert work.delta.params == pytest.approx(np.full(4, 2.0), abs=0.06)
        assert work.delta.moments.count[0] == 8 * len(made.agent.slices)
        assert (work.eval_return, work.tasks, work.steps_per_s) == (105.0, ("standard",), 1000)
        assert made.starts == 1


async def test_the_returns_of_several_tasks_are_told_task_by_task(autojump_clock: MockClock) -> None:
    async with school(agent=TwoTaskAgent()) as made:
        made.opens(3)
        await trio.sleep(20.0)
        slices = len(made.agent.slices)
        assert made.told(TasksTrained) == [
            TasksTrained(round=3, tasks=("a", "b"), episodes=(slices, 2 * slices), mean_returns=(10.0, -4.0))
        ]


async def test_the_return_on_one_task_of_several_is_told_too(autojump_clock: MockClock) -> None:
    async with school(agent=OneTaskAgent()) as made:
        made.opens(3)
        await trio.sleep(20.0)
        slices = len(made.agent.slices)
        assert made.told(TasksTrained) == [
            TasksTrained(round=3, tasks=("a",), episodes=(slices,), mean_returns=(10.0,))
        ]


async def test_the_only_task_of_a_run_needs_no_line_of_its_own(autojump_clock: MockClock) -> None:
    async with school(agent=OneTaskAgent(), has_variants=False) as made:
        made.opens(3)
        await trio.sleep(20.0)
        assert made.announced
        assert made.told(TasksTrained) == []


async def test_what_training_came_to_is_told_with_each_announcement(autojump_clock: MockClock) -> None:
    async with school(agent=LosingAgent()) as made:
        made.opens(1)
        await trio.sleep(10.0)
        made.opens(2)
        await trio.sleep(10.0)
        first, second = made.told(RoundTrained)
        assert isinstance(first, RoundTrained)
        assert isinstance(second, RoundTrained)
        works = [work for _, work in made.announced]
        assert [(each.round, each.env_steps) for each in (first, second)] == [
            (1, works[0].env_steps),
            (2, works[1].env_steps),
        ]
        assert (first.mean_return, second.mean_return) == (works[0].mean_return, works[1].mean_return)
        assert first.episodes + second.episodes == len(made.agent.slices)
        assert (first.policy_loss, first.learning_rate) == (-0.25, 3e-4)
        assert math.isnan(first.std)
        assert first.waited_s == 0.0
        assert second.waited_s == pytest.approx(8.0, abs=0.3)
        assert first.train_s == pytest.approx(2.0, abs=0.1)


async def test_training_starts_from_what_the_codec_left_out_and_does_not_announce_it(autojump_clock: MockClock) -> None:
    async with school() as made:
        opened = made.opens(1, at=5.0)
        made.trainer.open_round(replace(opened, remainder=np.asarray([0.5, 0.0, -0.5, 0.25], np.float32)))
        await trio.sleep(2.5)
        ((_, work),) = made.announced
        learned = work.delta.params
        assert learned == pytest.approx(np.full(4, 2.0), abs=0.06)
        assert made.agent.starts[0] == pytest.approx([5.5, 5.0, 4.5, 5.25])
        assert work.eval_return == 105.0


async def test_the_time_of_a_round_begins_when_it_opens_not_when_the_trainer_is_free(
    autojump_clock: MockClock,
) -> None:
    async with school() as made:
        made.agent.slowness = 2.0  # slices of 1 s: the first round's is running when the second opens
        made.opens(1)
        await trio.sleep(0.1)
        made.opens(3)
        await trio.sleep(20.0)
        assert made.announced[0][0] == pytest.approx(2.1, abs=1.0)


async def test_a_round_that_is_replaced_keeps_what_was_learned_and_counts_it_once(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.opens(1, at=0.0)
        await trio.sleep(1.1)
        made.opens(3, at=100.0)
        await trio.sleep(20.0)
        ((at, work),) = made.announced
        assert at == pytest.approx(3.1, abs=0.06)
        assert work.env_steps == round(1000 * sum(made.agent.slices))
        assert work.delta.params == pytest.approx(np.full(4, sum(made.agent.slices)), abs=1e-3)
        assert made.agent.model().params == pytest.approx(np.full(4, 100.0 + sum(made.agent.slices)), abs=1e-3)
        assert work.delta.moments.count[0] == 8 * len(made.agent.slices)


async def test_own_pieces_are_trained_on_top_of_but_not_announced_again(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.opens(1, at=10.0, pieces=(piece(1.0), piece(2.5)))
        await trio.sleep(20.0)
        ((_, work),) = made.announced
        assert work.delta.params == pytest.approx(np.full(4, 2.0), abs=0.06)
        assert work.env_steps == round(1000 * sum(made.agent.slices))
        assert made.agent.model().params == pytest.approx(np.full(4, 15.5), abs=0.06)


async def test_a_round_that_seals_inside_its_own_announcement_starts_the_next(autojump_clock: MockClock) -> None:
    """A lone peer's announcement seals the round, and the machine opens the next one before it returns."""
    async with school() as made:
        made.on_announce = lambda: made.opens(number) if (number := len(made.announced) + 1) <= 3 else None
        made.opens(1)
        await trio.sleep(60.0)
        assert len(made.announced) == 3
        total = sum(work.env_steps for _, work in made.announced)
        assert total == round(1000 * sum(made.agent.slices))


async def test_a_peer_too_slow_for_any_round_announces_late_but_everything(autojump_clock: MockClock) -> None:
    """Each slice takes 5 s, a new round opens every 2 s: no round is ever finished in time."""
    async with school() as made:
        made.agent.slowness = 10.0
        number = 0
        with trio.move_on_after(100.0):
            while True:
                number += 1
                made.opens(number)
                await trio.sleep(2.0)
        announced = sum(work.env_steps for _, work in made.announced)
        trained = round(1000 * sum(made.agent.slices))
        assert len(made.announced) >= 8
        assert trained - 2 * 500 <= announced <= trained
        assert sum(work.delta.params[0] for _, work in made.announced) == pytest.approx(announced / 1000, abs=1e-3)


async def test_a_peer_that_nobody_waits_for_announces_before_the_members_do(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.opens(1, roster=(RosterEntry("somebody", 0, 1000, 1),))
        await trio.sleep(5.0)
        made.opens(3, roster=(RosterEntry("somebody", 0, 1000, 1), RosterEntry(ME, 0, 1000, 1)))
        await trio.sleep(5.0)
        assert [at for at, _ in made.announced] == pytest.approx([1.0, 7.0], abs=0.06)


async def test_a_peer_that_heard_late_of_a_seal_announces_no_later_for_it(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.opens(1, late_s=0.75)
        await trio.sleep(5.0)
        made.opens(3, late_s=7.0)
        await trio.sleep(5.0)
        assert [at for at, _ in made.announced] == pytest.approx([1.25, 5.05], abs=0.06)


async def test_an_evaluation_longer_than_the_round_does_not_starve_training(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.agent.evaluation_s = 7.0
        made.opens(1)
        await trio.sleep(20.0)
        ((_, work),) = made.announced
        assert work.env_steps > 0


@pytest.mark.parametrize(("eval_every", "expected"), [(1, [0, 1, 2, 3, 4, 5]), (3, [0, 3]), (100, [0])])
async def test_the_base_is_evaluated_every_so_many_rounds(
    eval_every: int, expected: list[int], autojump_clock: MockClock
) -> None:
    async with school(eval_every=eval_every) as made:
        for number in range(1, 7):
            made.opens(number, at=float(number))
            await trio.sleep(3.0)
        assert [event.round for event in made.sink.events if isinstance(event, Evaluated)] == expected
        measured = [work.eval_return for _, work in made.announced]
        assert [value is not None for value in measured] == [number in expected for number in range(6)]
        assert measured[0] == 101.0  # the base alone, without own work on it


def raises() -> None:
    raise ArithmeticError("the loss is not finite")


@pytest.mark.filterwarnings("ignore:invalid value")  # of the learner that is meant to diverge
@pytest.mark.parametrize("how", ["raises", "nan", "infinite"])
async def test_training_that_diverges_is_given_up_and_begun_anew(how: str, autojump_clock: MockClock) -> None:
    async with school() as made:
        value = math.nan if how == "nan" else math.inf
        made.agent.fails = [raises if how == "raises" else lambda: made.agent.spoil(value)]
        made.opens(1, at=3.0)
        await trio.sleep(20.0)
        (event,) = made.told(TrainingDiverged)
        assert isinstance(event, TrainingDiverged)
        assert event.round == 1
        ((_, work),) = made.announced
        assert np.isfinite(work.delta.params).all()
        assert np.isfinite(made.agent.model().params).all()


async def test_a_delta_that_every_peer_would_refuse_is_given_up(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.reject = ["a coordinate exceeds 1e+06"]
        made.opens(1)
        await trio.sleep(20.0)
        (event,) = made.told(TrainingDiverged)
        assert isinstance(event, TrainingDiverged)
        assert "1e+06" in event.cause
        assert len(made.announced) == 1


async def test_pieces_that_overflow_do_not_end_the_peer(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.opens(1, pieces=(piece(3e38), piece(3e38)))
        await trio.sleep(20.0)
        assert len(made.told(TrainingDiverged)) == 1
        assert len(made.announced) == 1


async def test_a_learner_that_fails_at_once_is_retried_at_a_walking_pace(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.agent.fails = [raises] * 1000
        made.opens(1)
        await trio.sleep(30.0)
        assert 10 <= len(made.told(TrainingDiverged)) <= 31


async def test_a_mean_return_that_is_no_number_is_left_out(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.trainer._progress.returns, made.trainer._progress.episodes = math.nan, 3
        made.trainer._progress.kl = math.inf
        made.opens(1)
        await trio.sleep(20.0)
        ((_, work),) = made.announced
        assert (work.mean_return, work.approx_kl) == (None, 0.0)


async def test_nothing_is_announced_on_a_tip_that_has_moved(autojump_clock: MockClock) -> None:
    async with school() as made:
        made.opens(1)
        await trio.sleep(1.0)
        made.tip_digest = Digest(b"moved, and the order to train on it is still on its way")
        await trio.sleep(5.0)
        assert made.announced == []
        made.opens(3)
        await trio.sleep(5.0)
        ((_, work),) = made.announced
        assert work.env_steps == round(1000 * sum(made.agent.slices))  # what round 1 learned as well


async def test_the_trainer_goes_on_while_the_seal_is_awaited_and_moves_over_when_it_lands(
    autojump_clock: MockClock,
) -> None:
    """The seal comes 0.7 s after the announcement, with the own delta of 2 admitted at a quarter: base 10 to 10.5."""
    async with school(ahead_s=8.0) as made:
        made.opens(1, at=10.0)
        await trio.sleep(2.7)
        made.opens(3, at=10.5)
        await trio.sleep(1.0)
        trained = sum(made.agent.slices[:-1])  # the last one is running
        assert made.agent.model().params == pytest.approx(np.full(4, 10.5 + trained - 2.0), abs=0.06)
        await trio.sleep(2.0)
        (_, first), (_, second) = made.announced
        assert first.delta.params == pytest.approx(np.full(4, 2.0), abs=0.06)
        assert second.delta.params == pytest.approx(np.full(4, 2.7), abs=0.12)
        assert second.env_steps == pytest.approx(2700, abs=120)
        assert made.trainer.waited_s == 0.0


async def test_statistics_of_training_ahead_are_announced_once(autojump_clock: MockClock) -> None:
    async with school(ahead_s=8.0) as made:
        made.opens(1)
        await trio.sleep(3.0)
        made.opens(3)
        await trio.sleep(2.5)
        counted = sum(work.delta.moments.count[0] for _, work in made.announced)
        assert sum(work.env_steps for _, work in made.announced) == pytest.approx(5000, abs=200)
        at_second = [at for at, _ in made.announced][1]
        slices_by_then = made.agent.slices[: round(counted / 8)]
        assert sum(slices_by_then) == pytest.approx(at_second, abs=0.2)


async def test_training_ahead_ends_when_the_seal_stays_out_and_the_wait_is_counted(autojump_clock: MockClock) -> None:
    async with school(ahead_s=4.0) as made:
        made.opens(1)
        await trio.sleep(20.0)
        assert sum(made.agent.slices) == pytest.approx(6.0, abs=0.2)
        made.opens(3)
        await trio.sleep(0.1)
        assert made.trainer.waited_s == pytest.approx(14.0, abs=0.3)


async def test_a_learner_that_diverges_while_training_ahead_goes_back_to_the_common_model(
    autojump_clock: MockClock,
) -> None:
    async with school(ahead_s=4.0) as made:
        failures = [lambda: made.agent.spoil(math.nan)]
        made.on_announce = lambda: made.agent.fails.extend(failures[:1] and [failures.pop()])
        made.opens(1, at=3.0)
        await trio.sleep(7.5)
        assert made.told(TrainingDiverged)
        assert np.isfinite(made.agent.model().params).all()
