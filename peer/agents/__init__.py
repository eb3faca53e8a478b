"""What trains a policy: the seam that services see, the C++ core behind it, and a tiny agent for swarms in tests."""
