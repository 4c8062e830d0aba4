"""What becomes of a log line: it is cleaned, limited, queued and written by a thread of its own."""
