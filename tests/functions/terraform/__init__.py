"""Terraform in small: what functions/templates/terraform asks for is made in the sandbox.

Neither Terraform nor its provider is in a package registry. `hcl` gives values to its expressions,
`configuration` puts blocks into the order of their references, and `provider` has a function for
each kind of resource that makes it by boto3. None knows more than these files use: what is new to
them raises, so that nothing stands there unseen.
"""
