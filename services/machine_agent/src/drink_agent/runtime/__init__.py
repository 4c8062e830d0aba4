"""The loop that dispenses, and what it needs of the host it runs on."""
