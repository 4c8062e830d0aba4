"""An emulated tini-board, for development and tests."""
