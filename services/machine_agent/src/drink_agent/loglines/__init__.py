"""Log lines from event to file descriptor: cleaning, rate limits, a queue and a writer thread."""
