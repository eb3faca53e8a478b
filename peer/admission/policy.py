"""What a peer is told about admission by its user: a swarm key, authorities, and the allow-list to begin with."""

from dataclasses import dataclass, field

from peer.admission.allow_list import Authority
from peer.admission.swarm_key import SwarmKey


@dataclass(frozen=True, slots=True)
class FoundList:
    """The bytes of an allow-list, and the file that held them."""

    file: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionPolicy:
    """Who may take part, as the user of this peer has said.

    run: run.name. swarm_key: None for an open swarm. authority: without keys there is no allow-list.

    known: lists found on disk, any of which may be old, damaged or another run's; the newest valid one counts.
    """

    run: str = ""
    swarm_key: SwarmKey | None = None
    authority: Authority = field(default_factory=Authority)
    known: tuple[FoundList, ...] = ()
