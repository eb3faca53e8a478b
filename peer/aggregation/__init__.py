"""From admitted deltas to the next model: one file a rule, exact kernels, and the outer optimizer."""
