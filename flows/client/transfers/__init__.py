"""Bytes on their way from and to a service: files that are sent, images and exports that are downloaded."""
