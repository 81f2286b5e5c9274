"""Deployments, schedules and automations."""
