"""What a running peer says about itself when asked: the answer of `murmur status`.

One JSON object; keys are only ever added. Sizes are in bytes, ages and times in seconds.
"""

import msgspec


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One other peer, or this one. missed: rounds in a row; None: not on the roster. admitted: in the last round.

    silent_s: since its last bytes; None when it is not connected. suspected_by: peers that it does not answer; 0 unless
    this one is among them. runs_twice: two processes with its identity were connected in the last ten minutes.
    """

    name: str
    peer_id: str
    me: bool
    connected: bool
    missed: int | None
    steps_per_s: int
    admitted: bool
    boot: int | None
    silent_s: float | None
    suspected_by: int
    runs_twice: bool = False


class DeniedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A peer against whom there is proof, and of what."""

    name: str
    peer_id: str
    what: str


class AdmissionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Who may take part. swarm_key: its fingerprint; None: there is none. named: whether the list names this peer.

    list_version: of the allow-list that holds; 0: none has come yet; None: there are no authorities, and so no list.
    """

    swarm_key: str | None
    list_version: int | None
    listed: int
    named: bool


class GoneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that went in the last ten minutes, and is not back. stopped: it said goodbye; else `cause` tells why."""

    name: str
    peer_id: str
    stopped: bool
    cause: str
    age_s: float


class TroubleStatus(msgspec.Struct, frozen=True, kw_only=True):
    age_s: float
    level: str
    text: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `murmur status` for one peer.

    round: of the tip, the last sealed one. lag: rounds of the tip that are not final yet. returns: None: unknown.

    announced: addresses that others are told. reached: those of them where others found us; None: nobody has told yet.
    waiting_for: what the round in progress needs next. open_s: for how long it has been open, none sealed;
    None: none is. refused: messages dropped, by reason.
    denied: peers that nobody takes in any more. gone: newest first.
    superseded: why this process takes no part any more, another one having its identity; "" while it does.
    local_health: 0 while the event loop runs in time, up to 8 when it is late: waits for others are that much longer.
    """

    version: str
    name: str
    peer_id: str
    boot: int
    pid: int
    run: str
    env: str
    addresses: list[str]
    announced: list[str]
    reached: list[str] | None
    uptime_s: float
    computes_on: str
    round: int
    final_round: int
    lag: int
    model: str
    env_steps: int
    mean_return: float | None
    best_return: float | None
    finished: bool
    waiting_for: str
    peers: list[PeerStatus]
    bytes_sent: int
    bytes_received: int
    refused: dict[str, int]
    counters: dict[str, int]
    troubles: list[TroubleStatus]
    local_health: int
    superseded: str = ""
    denied: list[DeniedStatus] = []  # msgspec copies it for every status
    admission: AdmissionStatus | None = None
    gone: list[GoneStatus] = []
    open_s: float | None = None
