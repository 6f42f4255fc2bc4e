"""Data sets: scans with their nodules, whatever layout they come in, prepared once into a cache that training reads."""
