"""Primary storages: the home of VMs and volumes."""
