"""Commands for a person at the machine: status, journal, board and configuration checks."""
