"""Network connections: address policy, wire, minimum rate."""
