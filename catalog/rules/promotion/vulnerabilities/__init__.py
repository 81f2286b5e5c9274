"""Known vulnerabilities of packages: advisories, order of versions, and matching with an image's packages."""
