"""Where addresses of other peers come from: one file a source, and when to try an address again."""
