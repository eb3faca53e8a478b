"""Who works on what: the run's tasks, shared out by a rule that every peer evaluates alike."""
