"""When a peer says that it seals alone although it has company."""

import trio
from trio.testing import MockClock

from peer.rounds.entry import Entry
from peer.services.exchanges import ExchangeRecord
from peer.services.loneliness import PATIENCE_S, LonelinessWatch
from peer.telemetry.process_events import SealingAlone
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from tests.unit.services.chains import ME, LoneChain

OTHER = PeerId("other")


class Case:
    def __init__(self, *, me: PeerId = ME.peer_id, connected: frozenset[PeerId] = frozenset({OTHER})) -> None:
        chain = LoneChain()
        chain.seal()
        self.tip: Entry = chain.machine.tip
        self.connected = connected
        self.exchanges = ExchangeRecord()
        self.sink = RecordingSink()
        self.watch = LonelinessWatch(
            me=me,
            tip=lambda: self.tip,
            connected=lambda: self.connected,
            exchanges=self.exchanges,
            sink=self.sink,
        )

    async def live(self, seconds: float) -> list[SealingAlone]:
        with trio.move_on_after(seconds):
            await self.watch.serve()
        return [event for event in self.sink.events if isinstance(event, SealingAlone)]


async def test_alone_in_company_is_told_after_a_while_and_then_once_a_minute(autojump_clock: MockClock) -> None:
    case = Case()
    case.exchanges.failed("reset")
    case.exchanges.failed("no answer within 5 s")
    told = await case.live(PATIENCE_S + 62.5)
    assert len(told) == 2
    assert told[0] == SealingAlone(connected=1, since_s=PATIENCE_S, failures=2, cause="no answer within 5 s")


async def test_what_lasts_for_hours_is_told_ever_more_rarely(autojump_clock: MockClock) -> None:
    assert len(await Case().live(4 * 3600.0)) < 30


async def test_exchanges_that_work_again_are_not_blamed(autojump_clock: MockClock) -> None:
    case = Case()
    case.exchanges.failed("reset")
    case.exchanges.succeeded()
    assert (await case.live(PATIENCE_S + 2.0))[0].failures == 0
    assert (await case.live(0.0))[0].cause == ""


async def test_a_moment_alone_is_no_news(autojump_clock: MockClock) -> None:
    assert not await Case().live(PATIENCE_S)


async def test_without_company_there_is_nothing_to_wonder_about(autojump_clock: MockClock) -> None:
    assert not await Case(connected=frozenset()).live(200.0)


async def test_on_a_roster_with_others_there_is_nothing_to_wonder_about(autojump_clock: MockClock) -> None:
    assert not await Case(me=PeerId("another")).live(200.0)
