"""Time, randomness and password hashing, behind the domain's ports."""
