"""The arrays that the core and Python share: one step of a batch of environments."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peer.python_envs.spaces import Floats

Flags = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class StepArrays:
    """For N environments with observations of D numbers and actions of A. Nobody else may keep these: they are
    written again and again.

    In the order in which bindings/python_vector_env.hpp passes them.
    """

    actions: Floats
    """[N, A], what a step does."""
    observations: Floats
    """[N, D], what it leads to; what an episode begins with, where one begins."""
    rewards: Floats
    """[N]"""
    terminated: Flags
    """[N]"""
    truncated: Flags
    """[N]"""
    final_observations: Floats
    """[N, D], the last ones of episodes that ended: of batches that begin the next ones by themselves."""
    resting: Flags
    """[N], 1 where nobody will look at an environment again until it is reset."""
    waiting: Flags
    """[N], 1 where the next step will only begin an episode."""
