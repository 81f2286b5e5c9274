"""The start page: contents and room, failures and what to do, current runs, recent changes."""
