"""Read a peer's JSON log: what the tests want to know of it, as plain functions over lists of events."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Event = Mapping[str, Any]  # Any: the fields differ from event to event


def parse(text: str) -> list[Event]:
    """Return the events of a log, in order; lines that are not JSON objects (a crash's traceback) are left out."""
    events: list[Event] = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events


def named(events: Iterable[Event], name: str) -> list[Event]:
    """Return the events of one kind."""
    return [event for event in events if event["event"] == name]


def time_of(event: Event) -> datetime:
    """Return when the event was logged, by the clock that all containers of one machine share."""
    return datetime.fromisoformat(event["time"])


def since(events: Iterable[Event], moment: datetime) -> list[Event]:
    """Return the events after `moment`."""
    return [event for event in events if time_of(event) > moment]


def final_models(events: Iterable[Event]) -> dict[int, str]:
    """Return the model hash of each round that this peer saw become final.

    Raises: AssertionError if the peer announced one round as final with two different models.
    """
    models: dict[int, str] = {}
    for event in named(events, "round_final"):
        earlier = models.setdefault(event["round"], event["model"])
        assert earlier == event["model"], f"round {event['round']} was final with {earlier} and {event['model']}"
    return models


def agreed_rounds(logs: Iterable[Iterable[Event]]) -> list[int]:
    """Return the rounds that are final on every peer, in order.

    Raises: AssertionError if any two peers, of those that saw a round become final, hold different models of it.
    """
    per_peer = [final_models(events) for events in logs]
    everywhere = set.intersection(*(set(models) for models in per_peer))
    for number in set.union(*(set(models) for models in per_peer)):
        hashes = {models[number] for models in per_peer if number in models}
        assert len(hashes) == 1, f"round {number} is final with different models: {sorted(hashes)}"
    return sorted(everywhere)


def peer_id(events: Iterable[Event]) -> str:
    """Return the peer id of the newest start in this log."""
    return str(named(events, "peer_started")[-1]["peer_id"])
