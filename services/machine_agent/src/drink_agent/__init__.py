"""The machine agent: drives one vending machine's board for the frontend."""
