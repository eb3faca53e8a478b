"""Who of the connected peers is alive: SWIM (Das et al. 2002) with Lifeguard (Dadgar et al. 2017), as pure rules.

    timing.py     every constant, with its origin, and the length of a suspicion
    health.py     how late this peer's own event loop runs
    rumours.py    which statements travel with the next message
    detector.py   the state machine: life signs and clock readings in, questions and verdicts out

What it decides, and why a stranger's word alone changes nothing: docs/adr/0043.
"""
