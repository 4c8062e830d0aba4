"""The agents' links: who is connected, what passes on a link, and which drop goes out next."""
