"""What `benchmarks/federation.py` is made of."""
