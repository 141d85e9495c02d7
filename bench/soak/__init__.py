"""`python -m bench.soak`: a portal on several machines, in use while its parts die, for a while."""
