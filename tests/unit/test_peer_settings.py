"""How a machine's cores become threads, and which of them each peer of the machine takes."""

import os
import threading
from pathlib import Path

import pytest

from peer.config.load import load_config
from peer.config.schema import Config
from peer.known_envs import KnownEnvs
from peer.native import PpoSettings, make_ppo_agent
from peer.settings import peer_name, pinned_cpus, ppo_settings, threads, usable_cores
from peer.types import PeerId


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {2, 3, 6, 7})


def config(*overrides: str) -> Config:
    return load_config([], {}, list(overrides), known_envs=KnownEnvs())


def test_end_of_a_long_machine_name_is_what_a_peer_is_called() -> None:
    assert peer_name(config()) is None
    long = "network.peer_name=gke-cluster-1-default-pool-6f00ab12-x7kq"
    assert peer_name(config(long)) == "ter-1-default-pool-6f00ab12-x7kq"


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 4),
        ("100000 100000\n", 1),
        ("150000 100000\n", 2),  # a share of a core is a thread's worth
        ("1000 100000\n", 1),
        ("900000 100000\n", 4),
        ("0 100000\n", 1),
        ("100000 0\n", 4),
        ("", 4),
        ("nonsense\n", 4),
    ],
)
def test_usable_cores_are_the_affinity_cut_by_the_containers_limit(tmp_path: Path, text: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path) == cores


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        ("-1\n", "100000\n", 4),
        ("100000\n", "100000\n", 1),
        ("250000\n", "100000", 3),
        ("1\n", "x\n", 4),
        ("1", "0", 4),
    ],
)
def test_the_limit_of_version_1_cgroups_counts_too(tmp_path: Path, quota: str, period: str, cores: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text(period)
    assert usable_cores(tmp_path) == cores


@pytest.mark.usefixtures("four_cores")
def test_usable_cores_without_a_limit_are_the_affinity(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 4


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("peers", "num_envs", "expected"),
    [(1, 1024, 4), (2, 1024, 2), (3, 1024, 1), (4, 1024, 1), (9, 1024, 1), (1, 256, 2), (1, 128, 1), (1, 8, 1)],
)
def test_auto_divides_the_cores_among_the_peers_and_gives_few_envs_few_threads(
    monkeypatch: pytest.MonkeyPatch, peers: int, num_envs: int, expected: int
) -> None:
    monkeypatch.setattr("peer.settings.usable_cores", lambda: 4)
    settings = config(f"ppo.num_envs={num_envs}", "ppo.rollout_steps=64", "ppo.minibatch_size=64")
    assert threads(settings, peers_here=peers) == expected


def test_a_number_of_threads_is_taken_as_it_is() -> None:
    assert threads(config("compute.threads=7"), peers_here=3) == 7


@pytest.mark.usefixtures("four_cores")
def test_peers_of_one_machine_take_different_cores_as_long_as_there_are_some() -> None:
    two = config("compute.threads=2", "compute.pin_threads=true")
    assert [pinned_cpus(two, slot=slot) for slot in range(4)] == [(2, 3), (6, 7), (2, 3), (6, 7)]
    three = config("compute.threads=3", "compute.pin_threads=true")
    assert [pinned_cpus(three, slot=slot) for slot in range(3)] == [(2, 3, 6), (7, 2, 3), (6, 7, 2)]
    assert all(len(set(pinned_cpus(three, slot=slot))) == 3 for slot in range(12))


@pytest.mark.usefixtures("four_cores")
def test_threads_are_pinned_on_request_only() -> None:
    assert pinned_cpus(config("compute.threads=2"), slot=1) == ()
    assert ppo_settings(config("compute.threads=2"), PeerId("a"), slot=1).cpus == ()
    pinned = ppo_settings(config("compute.threads=1", "compute.pin_threads=true"), PeerId("a"), slot=3)
    assert pinned.cpus == (7,)


@pytest.mark.usefixtures("four_cores")
def test_more_pinned_threads_than_cores_are_refused_by_name() -> None:
    with pytest.raises(
        ValueError, match=r"compute\.pin_threads: expected a core for each of compute\.threads = 5, .* 4;"
    ):
        pinned_cpus(config("compute.threads=5", "compute.pin_threads=true"), slot=0)


def test_pinned_learners_train_on_their_own_cores_and_let_go_of_them_afterwards() -> None:
    """Two peers of one machine at once: each learner's threads are where its slot says, and nowhere else."""
    usable = os.sched_getaffinity(0)
    if len(usable) < 2:
        pytest.skip("needs two cores")
    learners = [Learner(slot) for slot in (0, 1)]
    for learner in learners:
        learner.thread.start()
    for learner in learners:
        learner.watch()
        assert learner.during == set(learner.cpus)
        assert learner.after == usable
    assert not learners[0].during & learners[1].during


class Learner:
    """A small learner on a thread of its own, with one pinned thread."""

    def __init__(self, slot: int) -> None:
        self.cpus = pinned_cpus(config("compute.threads=1", "compute.pin_threads=true"), slot=slot)
        self.during: set[int] = set()
        self.after: set[int] = set()
        self._done = threading.Event()
        self._agent = make_ppo_agent("CartPole-v1", PpoSettings(device="cpu", backend="fused", cpus=self.cpus))
        self.thread = threading.Thread(target=self._train)

    def watch(self) -> None:
        """Read where the thread runs until it is pinned, or for as long as it trains."""
        tid = self.thread.native_id
        assert tid is not None
        while self.during != set(self.cpus) and not self._done.is_set():
            self.during = os.sched_getaffinity(tid)
        self._done.set()
        self.thread.join()

    def _train(self) -> None:
        while not self._done.is_set():
            self._agent.train(4096, 0.05)
        self.after = os.sched_getaffinity(0)


def test_a_pinned_learners_workers_stay_on_the_cores_behind_the_first() -> None:
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        pytest.skip("needs two cores")
    before = thread_ids()
    cpus = (usable[-1], usable[0])
    agent = make_ppo_agent("CartPole-v1", PpoSettings(device="cpu", backend="fused", threads=2, cpus=cpus))
    workers = thread_ids() - before
    assert [os.sched_getaffinity(worker) for worker in workers] == [{usable[0]}]
    free = make_ppo_agent("CartPole-v1", PpoSettings(device="cpu", backend="fused", threads=2))
    for learner in (agent, free):
        learner.train(4096, float("inf"))
    assert agent.save() == free.save()  # where it ran changes nothing in what it learned


def thread_ids() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/task").iterdir()}


@pytest.mark.parametrize(
    ("cpus", "message"),
    [((0, 1), "one core for each of 1 threads, got 2"), ((100_000,), "got 100000"), ((-1,), "got -1")],
)
def test_impossible_cores_are_named(cpus: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_ppo_agent("CartPole-v1", PpoSettings(device="cpu", cpus=cpus))
