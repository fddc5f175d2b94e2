"""Real parts to run on this machine: brokers, databases, certificates, wires."""
