"""SFTP sources."""
