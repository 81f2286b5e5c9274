"""What commands ask of a service, from any machine, and how one signs in there."""
