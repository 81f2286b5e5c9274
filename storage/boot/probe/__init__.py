"""What runs in the confined process that reads hostile file systems. Nothing here imports the catalog or pydantic."""
