"""How peers reach each other: the `Transport` of real swarms over libp2p, and one in memory for virtual time."""
