"""The trio loops that carry out what the rules decide: one file a service, each with a `serve` that never returns."""
