"""When a run without a swarm evaluates and when it ends, with a learner whose returns are written down."""

import math

import pytest

from peer.native import EnvVariant, PpoTrainStats
from peer.solo.run import Outcome, Plan, Progress, Run, Standing
from peer.solo.schedule import every
from tests.unit.solo.scripted_learner import ScriptedLearner


def variant(seed: int) -> EnvVariant:
    return EnvVariant(params=[], seed_start=seed, seed_end=seed + 1, count=8)


def plan(
    *,
    target: float | None = None,
    max_env_steps: int | None = None,
    interval: int = 200,
    turns: list[list[EnvVariant]] | None = None,
) -> Plan:
    return Plan(
        target=target,
        max_env_steps=max_env_steps,
        next_eval=every(interval),
        eval_episodes=20,
        eval_seed=9,
        turns=turns or [[variant(0)]],
    )


def run(learner: ScriptedLearner, wanted: Plan, *, stop_after: int = 10**9) -> Outcome:
    """Run to the end; stop_after: chunks after which a stop is requested."""
    chunks = 0

    def trained(_progress: Progress, _stats: PpoTrainStats) -> None:
        nonlocal chunks
        chunks += 1

    return Run(
        learner, wanted, stop=lambda: chunks >= stop_after, trained=trained, evaluated=lambda _progress: None
    ).train()


def test_the_target_ends_a_run_at_the_first_evaluation_that_reaches_it() -> None:
    learner = ScriptedLearner()
    outcome = run(learner, plan(target=500.0, max_env_steps=10_000))
    assert outcome.reason == "return"
    assert outcome.progress.env_steps == 600  # 500 is between two evaluations
    assert learner.evaluated == [(0, 20, 9), (200, 20, 9), (400, 20, 9), (600, 20, 9)]


def test_a_policy_that_is_good_enough_untrained_is_not_trained() -> None:
    learner = ScriptedLearner(score=lambda _steps: 0.0)
    assert run(learner, plan(target=0.0)).reason == "return"
    assert learner.asked == []


def test_the_bound_ends_a_run_with_an_evaluation_of_its_last_model() -> None:
    learner = ScriptedLearner()
    outcome = run(learner, plan(target=1e9, max_env_steps=450))
    assert outcome.reason == "env_steps"
    assert outcome.progress.env_steps == 500  # whole iterations
    assert [point.env_steps for point in outcome.progress.curve] == [0, 200, 400, 500]
    assert learner.asked == [200, 100, 200, 100, 50]


def test_reaching_the_target_with_the_last_step_counts_as_solved() -> None:
    assert run(ScriptedLearner(), plan(target=400.0, max_env_steps=400)).reason == "return"


def test_without_target_the_run_goes_on_to_the_bound() -> None:
    outcome = run(ScriptedLearner(score=lambda _steps: 1e12), plan(max_env_steps=400))
    assert outcome.reason == "env_steps"


def test_an_iteration_larger_than_the_interval_is_evaluated_once() -> None:
    learner = ScriptedLearner(iteration=1000)
    outcome = run(learner, plan(max_env_steps=2500, interval=10))
    assert [point.env_steps for point in outcome.progress.curve] == [0, 1000, 2000, 3000]


def test_a_stop_request_ends_the_run_after_the_running_chunk() -> None:
    outcome = run(ScriptedLearner(), plan(interval=1000), stop_after=3)
    assert outcome.reason == "interrupted"
    assert outcome.progress.env_steps == 300
    assert [point.env_steps for point in outcome.progress.curve] == [0]


def test_divergence_ends_the_run_and_keeps_the_curve() -> None:
    outcome = run(ScriptedLearner(diverges_at=300), plan(max_env_steps=10_000))
    assert outcome.reason == "diverged"
    assert "the loss is NaN" in outcome.cause
    assert [point.env_steps for point in outcome.progress.curve] == [0, 200]


def test_training_returns_are_weighted_by_episodes_and_start_afresh_at_each_point() -> None:
    learner = ScriptedLearner(episodes=[(1, 10.0), (3, 50.0), (2, 7.0), (0, math.nan)])
    curve = run(learner, plan(max_env_steps=600)).progress.curve
    assert math.isnan(curve[0].train_return)
    assert curve[1].train_return == (10.0 + 3 * 50.0) / 4
    assert curve[2].train_return == 7.0
    assert math.isnan(curve[3].train_return)


def test_evaluations_cost_no_training_time() -> None:
    progress = run(ScriptedLearner(), plan(max_env_steps=400)).progress
    assert [point.train_s for point in progress.curve] == [0.0, 1.0, 2.0]
    assert progress.steps_per_s == 200.0


def test_variants_are_assigned_once_when_all_have_their_turn_together() -> None:
    learner = ScriptedLearner()
    run(learner, plan(max_env_steps=600))
    assert [[v.seed_start for v in turn] for turn in learner.assigned] == [[0]]


def test_more_variants_than_envs_take_turns_from_one_evaluation_to_the_next() -> None:
    learner = ScriptedLearner()
    run(learner, plan(max_env_steps=1000, turns=[[variant(0)], [variant(1)], [variant(2)]]))
    assert [[v.seed_start for v in turn] for turn in learner.assigned] == [[0], [1], [2], [0], [1]]


ENDED = [(1, 10.0), (3, 50.0), (2, 7.0), (0, math.nan), (5, 1.0), (1, 2.0), (0, math.nan), (2, 9.0), (1, 4.0), (1, 1.0)]
TURNS = [[variant(0)], [variant(1)], [variant(2)]]


def run_on(learner: ScriptedLearner, wanted: Plan, standing: Standing | None, *, chunks: int) -> Run:
    """Run for so many chunks at most, from where another one was."""
    left = iter(range(chunks))
    begun = Run(
        learner,
        wanted,
        stop=lambda: next(left, None) is None,
        trained=lambda _progress, _stats: None,
        evaluated=lambda _: None,
        standing=standing,
    )
    begun.train()
    return begun


@pytest.mark.parametrize("chunks", [1, 2, 3, 5, 9])
def test_a_run_that_goes_on_is_the_one_that_never_ended(chunks: int) -> None:
    wanted = plan(max_env_steps=1000, interval=250, turns=TURNS)
    whole = ScriptedLearner(episodes=list(ENDED))
    expected = run_on(whole, wanted, None, chunks=10**9).standing()
    learner = ScriptedLearner(episodes=list(ENDED))
    standing = None
    for _ in range(10):  # iterations there are
        standing = run_on(learner, wanted, standing, chunks=chunks).standing()
    assert standing == expected
    assert learner.assigned == whole.assigned
    assert learner.evaluated == whole.evaluated
    assert [point.env_steps for point in expected.curve] == [0, 300, 600, 900, 1000]


def test_a_raised_bound_leaves_the_schedule_and_the_turns_as_they_are() -> None:
    learner = ScriptedLearner()
    first = run_on(learner, plan(max_env_steps=500, turns=TURNS), None, chunks=99).standing()
    assert [point.env_steps for point in first.curve] == [0, 200, 400, 500]
    second = run_on(learner, plan(max_env_steps=800, turns=TURNS), first, chunks=99).standing()
    assert [point.env_steps for point in second.curve] == [0, 200, 400, 500, 600, 800]
    assert [turn[0].seed_start for turn in learner.assigned] == [0, 1, 2, 0]


def test_a_lower_goal_is_not_reached_by_what_a_former_model_was_worth() -> None:
    learner = ScriptedLearner(score=lambda steps: 400.0 if steps == 200 else 0.0)
    first = run_on(learner, plan(), None, chunks=3).standing()
    assert first.env_steps == 300
    again = Run(
        learner,
        plan(target=300.0, max_env_steps=400),
        stop=lambda: False,
        trained=lambda _progress, _stats: None,
        evaluated=lambda _: None,
        standing=first,
    )
    assert again.train().reason == "env_steps"


def test_a_run_at_its_end_is_neither_trained_nor_evaluated_again() -> None:
    learner = ScriptedLearner()
    standing = run_on(learner, plan(max_env_steps=400), None, chunks=99).standing()
    assert run_on(learner, plan(max_env_steps=400), standing, chunks=99).standing() == standing
    assert [steps for steps, _, _ in learner.evaluated] == [0, 200, 400]


def test_environment_that_was_stopped_between_two_steps_ends_a_run_as_an_interrupt_does() -> None:
    outcome = run(ScriptedLearner(stopped_at=300), plan(max_env_steps=10_000))
    assert outcome.reason == "interrupted"
    assert outcome.progress.env_steps == 300
    assert not outcome.cause
