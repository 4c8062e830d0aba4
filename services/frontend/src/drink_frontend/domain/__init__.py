"""Pure rules of drops, credits and stock, and interfaces to what is outside of the service."""
