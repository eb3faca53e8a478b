"""Tell how much was refused of what came in: hostile or broken bytes are counted where they arrive, and told here."""

from typing import Never

import trio

from peer.network.transport import Transport
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import InputRefused
from peer.telemetry.sink import EventSink
from peer.types import Seconds


async def tell_refused_forever(
    transport: Transport, counters: Counters, *, period_s: Seconds, sink: EventSink
) -> Never:
    """Every `period_s`, emit the totals since the start if they have grown; a flood costs one line a period.

    Messages alone come from peers that are told by name already: their number is told whenever it has doubled.
    """
    told = InputRefused(frames=0, streams=0, messages=0)
    while True:
        await trio.sleep(period_s)
        seen = _refused(transport.counters(), counters.totals())
        grew = (seen.frames, seen.streams) != (told.frames, told.streams)
        if grew or seen.messages >= max(1, 2 * told.messages):
            sink.emit(seen)
            told = seen


def _refused(network: dict[str, int], own: dict[str, int]) -> InputRefused:
    return InputRefused(
        frames=network.get("frames_refused", 0) + network.get("floods_refused", 0),
        streams=network.get("protocol_errors", 0) + network.get("handler_errors", 0),
        messages=sum(total for name, total in own.items() if name.startswith("refused_")),
    )
