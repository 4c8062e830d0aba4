"""A tini-board without a vending machine, for development and tests."""
