"""Where VMs and volumes live."""
