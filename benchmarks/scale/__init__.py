"""Benchmarks of whole releases: dpframe, the plain query, and the peers."""
