"""TCP sessions: the Sunday protocol of 1999 in its three dialects, for people and old clients."""
