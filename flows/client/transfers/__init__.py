"""Transfer bytes to and from a service: upload files, download images and exports."""
