"""Error feedback on a tree of chains: every branch holds, together with what is still to come, all that was learned."""

import random
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.rounds.own_deltas import Piece
from peer.rounds.remainders import Remainders, with_remainder
from peer.types import ModelDelta, Moments, Params

SIZE = 5
WINDOW = 3


@dataclass(frozen=True, eq=False)
class Node:
    """A manifest. admitted: sequence of the own header in it, 0 for none."""

    round: int
    parent: "Node | None"
    admitted: int

    def line(self) -> list["Node"]:
        return [*(self.parent.line() if self.parent else []), self]

    def last_own(self) -> int:
        return max(node.admitted for node in self.line())


class World:
    """One peer that trains on tips of its choice, with a codec that loses a random part. Numbers are small integers, so
    that float32 sums are exact and every lost bit shows."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.root = Node(0, None, 0)
        self.nodes = [self.root]
        self.tip = self.root
        self.remainders = Remainders()
        self.learned: list[tuple[int, Params]] = []  # with the sequence that announced it first
        self.decoded: dict[int, Params] = {}
        self.bases: dict[int, Node] = {}

    def announce(self) -> None:
        sequence = len(self.decoded) + 1
        self.learned.append((sequence, self.numbers.integers(-9, 10, SIZE).astype(np.float32)))
        lacking = sum(delta for number, delta in self.learned if number > self.tip.last_own())
        piece = Piece(
            round=self.tip.round + 1,
            env_steps=1,
            delta=ModelDelta(params=np.asarray(lacking, np.float32), moments=Moments.empty(0)),
        )
        total = with_remainder(piece, self.remainders.after(self.tip.last_own())).delta.params
        decoded = total - self.numbers.integers(-3, 4, SIZE).astype(np.float32) * (self.rng.random() < 0.8)
        self.decoded[sequence], self.bases[sequence] = decoded, self.tip
        self.remainders.keep(sequence, self.tip.round + 1, announced=total, decoded=decoded)

    def seal(self) -> None:
        """Somebody seals on any known manifest, with our header if there is one for it and the sealer has it."""
        parent = self.rng.choice([self.tip, self.tip, *self.nodes])
        ours = [sequence for sequence, base in self.bases.items() if base is parent]
        admitted = self.rng.choice(ours) if ours and self.rng.random() < 0.6 else 0
        self.nodes.append(Node(parent.round + 1, parent, admitted))

    def move(self) -> None:
        """Follow any branch; what does not build on the new window's root is forgotten for ever."""
        self.tip = self.rng.choice(self.nodes)
        line = self.tip.line()
        root = line[max(line.index(self.root), len(line) - 1 - WINDOW)]
        self.nodes = [node for node in self.nodes if root in node.line()]
        self.root = root
        self.remainders.forget(root_round=root.round, last_at_root=root.last_own())

    def check(self, node: Node) -> None:
        held = sum((self.decoded[other.admitted] for other in node.line() if other.admitted), np.zeros(SIZE))
        coming = sum((delta for number, delta in self.learned if number > node.last_own()), np.zeros(SIZE))
        left = self.remainders.after(node.last_own())
        learned = sum((delta for _, delta in self.learned), np.zeros(SIZE))
        assert (held + coming + (0 if left is None else left)).tolist() == learned.tolist()


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60))
def test_on_every_branch_nothing_is_lost_and_nothing_counts_twice(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.rng.choice([world.announce, world.seal, world.seal, world.move])()
        for node in world.nodes:
            world.check(node)
        assert len(world.remainders) <= 1 + sum(base.round >= world.root.round for base in world.bases.values())


def test_codec_that_loses_nothing_leaves_no_remainder() -> None:
    remainders = Remainders()
    remainders.keep(1, 1, announced=np.ones(3, np.float32), decoded=np.ones(3, np.float32))
    assert len(remainders) == 0
    assert remainders.after(1) is None


def test_remainder_adds_neither_steps_nor_statistics() -> None:
    moments = Moments(count=np.ones(2), mean=np.full(2, 0.3), m2=np.full(2, 0.1))
    piece = Piece(round=3, env_steps=7, delta=ModelDelta(params=np.ones(3, np.float32), moments=moments))
    both = with_remainder(piece, np.full(3, 0.5, np.float32))
    assert both.delta.params.tolist() == [1.5] * 3
    assert (both.round, both.env_steps, both.delta.moments) == (3, 7, moments)
    assert with_remainder(piece, None) is piece
