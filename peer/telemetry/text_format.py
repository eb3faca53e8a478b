"""Events as lines for people: a fixed prefix, one short plain sentence, and one aligned line a round."""

from peer.telemetry import round_events
from peer.telemetry.event import Event
from peer.telemetry.names import NameBook
from peer.telemetry.plain_text import amount, number, printable, sealed_model, shortened, size
from peer.telemetry.sentences import MAX_LINE, unbounded_sentence

NAME_WIDTH = 6
"""`peer-3` fits; a longer name widens only its own lines."""


class TextFormat:
    """Makes lines for one peer. Columns of the round line never shrink, so that rounds stay aligned."""

    def __init__(self, *, names: NameBook) -> None:
        self._names = names
        self._widths: dict[str, int] = {}

    def line(self, event: Event, *, peer: str) -> str:
        """Return the line of text, without a line end; whatever came from outside is made printable."""
        marker = f"{event.level}: " if event.level in ("warning", "error") else ""
        text = f"{peer.ljust(NAME_WIDTH)} | {marker}{self._sentence(event)}"
        return printable(shortened(text, most=MAX_LINE))

    def _sentence(self, event: Event) -> str:
        if isinstance(event, round_events.RoundSealed):
            return self._round_line(event)
        return unbounded_sentence(event, self._names)

    def _round_line(self, event: round_events.RoundSealed) -> str:
        returns = self._column("return", number(event.mean_return), 5)
        best = self._column("best", f"(best {number(event.best_return)})", 12, left=True)
        sealer = self._column("sealer", self._names.name_of(event.sealer), NAME_WIDTH, left=True)
        parts = [
            f"round {self._column('round', str(event.round), 2)}",
            f"return {returns} {best}",
            f"{self._column('peers', f'{event.admitted}/{event.roster}', 3)} peers",
            f"{self._column('steps', amount(event.steps_per_s), 5)} steps/s",
            f"delta {self._column('delta', size(event.delta_bytes), 7)}"
            f" {self._column('codec', event.codec, 7, left=True)}",
            f"sealed by {sealer} in {self._column('seal', f'{event.seal_s:.1f}', 3)} s",
            sealed_model(event.model, round_number=event.round, kept=event.stop == round_events.SOLVED),
        ]
        return " | ".join(parts)

    def _column(self, name: str, text: str, width: int, *, left: bool = False) -> str:
        width = max(width, self._widths.get(name, 0), len(text))
        self._widths[name] = width
        return text.ljust(width) if left else text.rjust(width)
