"""What people, programs and agents can do, each as one unit of work around the domain's rules."""
