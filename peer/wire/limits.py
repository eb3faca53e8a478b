"""Bounds on everything that arrives from the network, checked before the bytes are looked at."""

PROTOCOL_VERSION = 5
"""Raised whenever a message changes meaning or shape; peers of different versions refuse each other."""

MAX_HEADER_BYTES = 1024
MAX_ACK_BYTES = 512
MAX_CARD_BYTES = 4096
MAX_MANIFEST_BYTES = 60 * 1024
"""A manifest carries the signed headers it admits: about 450 bytes each, so the flat protocol fits 64 peers."""

MAX_PART_HASH_BYTES = 512
"""Hints in a manifest: 64 parts of a model; four hidden layers without a shared trunk and a log_std make 23."""

MAX_ADMITTED = 64
MAX_ADMITTED_BYTES = 46 * 1024
"""Of all headers in a manifest: the longest that a peer of these sources writes, 64 times. Beside them it has room for
a roster of 128 and all else that must be in it; what is left is for rejections."""

MAX_ROSTER = 128
MAX_GROUPS = 64
MAX_GROUP_SEAL_BYTES = 10 * 1024
"""One group's seal: about 75 bytes for each of at most 64 members, and as much for each that it rejects."""

MAX_TOP_MANIFEST_BYTES = 16 * 1024
"""A top manifest names group seals by digest: 32 bytes each."""

MAX_LARGE_ROSTER = 32_768
MAX_STANDING_BYTES = 4 * 1024 * 1024
"""Roster and departed of a large swarm: about 75 bytes a peer, in snapshots only."""

MAX_SYNC_REQUEST_BYTES = 16 * 1024
MAX_SYNC_RESPONSE_BYTES = 1024 * 1024
MAX_SYNC_MESSAGES = 512
MAX_ALLOW_LIST_BYTES = 256 * 1024
MAX_DENIED = 256
"""Peers against whom proof is kept."""

MAX_PASSED_PROOFS = 8
"""In one answer: of two envelopes each, manifests in the worst case, so that they fit one response."""

MAX_ROUND = 2**40
MAX_COUNT = 2**53
"""Counters over a whole run: far above use, exact as a float64 too."""

MAX_ENV_STEPS = MAX_COUNT // MAX_ADMITTED
"""Of one header, and its weight: half a year at ten million steps a second. The sum over a group, whatever its members
say, stays within MAX_COUNT, or one of them could make a seal that nobody takes."""

MAX_STATISTIC = 2.0**100
"""Norms, divergences and returns, about 1e30. A power of two: the mean of any values within it, however rounded, is
within it too."""

INLINE_PAYLOAD_BYTES = 48 * 1024
"""Payloads up to this size ride along with the announcement; larger ones are pulled (docs/protocol.md). Every peer gets
one copy of an announcement, so riding along costs no more bytes than pulling, and saves a request. float32 deltas of
up to 12,000 parameters fit, two hidden layers of 64 units among them."""

MAX_CLAIM_BYTES = 2048
"""A process's claim against another with its identity: name, eight addresses of at most 128 characters, a signature."""

MAX_STATEMENTS = 8
MAX_PROBE_BYTES = 2048
"""A question of failure detection: eight statements of about 190 bytes, and a peer id."""

MAX_ANNOUNCEMENT_BYTES = max(MAX_MANIFEST_BYTES, MAX_GROUP_SEAL_BYTES + INLINE_PAYLOAD_BYTES) + 64
"""Manifests carry no payload. Below what the network takes in one piece of gossip, 64 KiB."""

MAX_BLOB_BYTES = 1 << 30
BLOB_PROGRESS_BYTES = 256 * 1024
"""What a holder has to send of a blob within each deadline of a request."""

MAX_RELAYED_BYTES = 64 * 1024 * 1024
"""Largest blob that a peer fetches on behalf of another."""
