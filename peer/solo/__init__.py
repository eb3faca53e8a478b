"""One learner on this machine, without a swarm: `murmur train` and `murmur bench`."""
