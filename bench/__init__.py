"""Measures the portal against its peers, all in one run; README.md says how to read it."""
