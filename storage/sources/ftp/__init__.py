"""FTP sources."""
