"""Facts of a peer's life as typed events, and the one place where they become text, JSON or a count."""
