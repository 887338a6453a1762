"""Throughput measurements: `make bench`."""
