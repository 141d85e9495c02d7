"""Keeps the catalogues in `locale/` in step with the texts of the code, without GNU gettext."""
