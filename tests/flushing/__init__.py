"""For tests that commit, after which Django empties all tables: the audit log as well."""
