"""Sends notices: to mail addresses and webhooks, until each is there or is given up."""
