"""What peers say to each other: messages, their bounds, signatures and hashes."""
