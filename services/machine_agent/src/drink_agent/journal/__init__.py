"""What the agent must not forget: one append-only file per machine."""
