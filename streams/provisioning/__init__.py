"""From a function to a protected endpoint: what is missing in AWS and in the registry is made."""
