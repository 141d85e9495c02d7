"""The REST API below /api/v1/, which its own OpenAPI document describes."""
