"""What Prometheus is told: every web server answers the same, out of the database."""
