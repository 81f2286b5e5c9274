"""What is known to be wrong with packages: advisories, the order of versions, and which packages of an image are affected."""
