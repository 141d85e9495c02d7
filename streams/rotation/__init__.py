"""Rotation of a secret header without one refused request."""
