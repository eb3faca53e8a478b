"""Who may take part: the swarm key, the signed allow-list, and what a run makes of the two."""
