"""Environments that are written in Python: Gymnasium's, and whatever is registered with it."""
