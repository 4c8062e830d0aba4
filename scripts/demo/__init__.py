"""Shows what Drink does, with real processes and emulated boards."""
