"""What a drop, a credit and a can are: pure rules, and the ports to the world."""
