"""From finished local training to a signed header and its payload."""

from peer.errors import ProtocolError
from peer.rounds.ledger import Ledger
from peer.rounds.own_deltas import Piece, l2_norm, sum_pieces
from peer.rounds.parts import LocalWork
from peer.rounds.remainders import with_remainder
from peer.rounds.staleness import share, staleness_of, weight_of
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.limits import MAX_COUNT, MAX_ENV_STEPS, MAX_STATISTIC
from peer.wire.messages import DeltaHeader


class OwnWork:
    """Announces own pieces. sequence: higher than in any earlier run of this key; grows with every header."""

    def __init__(self, ledger: Ledger, *, sequence: int) -> None:
        self._ledger = ledger
        self._sequence = sequence
        self._last: Signed[DeltaHeader] | None = None

    def announce(self, work: LocalWork) -> tuple[Signed[DeltaHeader], bytes]:
        """Enter the work into the ledger; return the header that stands for it and the payload.

        The header announces the new piece together with all pieces that the chain does not hold. Raises: ValueError
        unless `work.base` is the tip, or when the delta is one that every peer would refuse; what was to be
        announced with it is given up then. What the codec leaves out waits for the next header on a chain that admits
        this one.
        """
        ledger, codec = self._ledger, self._ledger.parts.codecs[self._ledger.parts.codec]
        if work.base != ledger.tip.digest:
            raise ValueError("local work must be on the tip; move it to the new base first")
        number = ledger.tip.round + 1
        pieces = [*ledger.own.unadmitted(), Piece(round=number, env_steps=work.env_steps, delta=work.delta)]
        # Recent work was trained upon, so the deltas add up; older work is brought along at its share.
        shares = [1.0 if ledger.own.is_recent(piece) else share(staleness_of(piece, number)) for piece in pieces]
        total = with_remainder(sum_pieces(pieces, shares), ledger.own.remainder())
        payload = codec.encode(total.delta)
        try:
            decoded = codec.decode(payload, ledger.parts.schema)
        except ProtocolError as error:
            ledger.own.give_up()  # they would spoil every later header too
            raise ValueError(f"own delta is unusable: {error}") from error
        header = self._sign(work, total, payload, weight=weight_of(pieces, number), l2_norm=l2_norm(decoded.params))
        ledger.payloads.keep(header, payload, decoded)
        ledger.announced = header.message.payload
        ledger.own.deltas.add(header.message.sequence, pieces[-1])
        ledger.own.remainders.keep(
            header.message.sequence, header.message.round, announced=total.delta.params, decoded=decoded.params
        )
        ledger.pool.add(header)
        self._last = header
        return header, payload

    def announce_again(self) -> tuple[Signed[DeltaHeader], bytes] | None:
        """Enter the header for the round in progress once more and return it, if it was lost from the ledger."""
        ledger, header = self._ledger, self._last
        if header is None or header.message.base != ledger.tip.digest:
            return None
        if ledger.me in ledger.pool.peers_on(ledger.tip.digest):
            return None
        payload = ledger.payloads.data(header.message.payload)
        return (header, payload) if payload is not None and ledger.pool.add(header) else None

    def hold(self, work: LocalWork) -> None:
        """Enter the work into the ledger without announcing it: the next header stands for it too."""
        self._sequence += 1
        piece = Piece(round=self._ledger.tip.round + 1, env_steps=work.env_steps, delta=work.delta)
        self._ledger.own.deltas.add(self._sequence, piece)

    def _sign(
        self, work: LocalWork, total: Piece, payload: bytes, *, weight: int, l2_norm: float
    ) -> Signed[DeltaHeader]:
        # The chain may hold more than this life knows of: its count of boots was lost, and it began too low.
        self._sequence = max(self._sequence, self._ledger.tip.held_of(self._ledger.me)) + 1
        header = DeltaHeader(
            round=self._ledger.tip.round + 1,
            base=self._ledger.tip.digest,
            sequence=self._sequence,
            payload=digest_of(payload),
            payload_bytes=len(payload),
            codec=self._ledger.parts.codec,
            env_steps=min(total.env_steps, MAX_ENV_STEPS),
            weight=min(weight, MAX_ENV_STEPS),
            steps_per_s=min(work.steps_per_s, MAX_COUNT),
            l2_norm=l2_norm,
            approx_kl=_bounded(work.approx_kl),
            mean_return=None if work.mean_return is None else _bounded(work.mean_return),
            eval_return=None if work.eval_return is None else _bounded(work.eval_return),
            tasks=work.tasks,
        )
        return seal(header, self._ledger.parts.signer, run=self._ledger.parts.run)


def _bounded(statistic: float) -> float:
    return max(-MAX_STATISTIC, min(statistic, MAX_STATISTIC))
