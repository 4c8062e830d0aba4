"""What the person at the machine looks with: the journal, the status, the board."""
