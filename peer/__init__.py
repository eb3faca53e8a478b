"""Murmuration: a swarm of peers that trains one reinforcement-learning policy with nobody in charge."""

__version__ = "0.1.0"
