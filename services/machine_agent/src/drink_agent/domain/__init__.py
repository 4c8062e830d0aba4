"""What the agent decides: pure state machines and the facts they keep."""
