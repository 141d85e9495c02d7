"""Names what is wrong with an endpoint, with the evidence and the way to mend it."""
