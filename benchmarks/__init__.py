"""Benchmarks of the real services, each against a reference in the same run."""
