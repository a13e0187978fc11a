"""Benchmarks of the noise kernels."""
