"""Who may take part: the swarm key, the signed allow-list, and proofs against those who contradict themselves."""
