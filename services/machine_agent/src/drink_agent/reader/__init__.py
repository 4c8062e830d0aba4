"""The reader beside the machine: cards that are held to it, and nothing else."""
