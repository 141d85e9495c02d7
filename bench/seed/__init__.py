"""A portal that has been in use for a while, made up in a minute."""
