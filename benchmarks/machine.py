"""Describe the machine a figure was measured on, as `murmur bench` does."""

from peer.solo.machine import describe_machine

__all__ = ["describe_machine"]
