"""The agent's durable memory: one append-only file per machine."""
