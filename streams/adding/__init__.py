"""What an operator's pasted address tells, and what AWS tells of it."""
