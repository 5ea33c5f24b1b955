"""HubSpot: contacts and deals as conversions, by pull and by webhook (README.md beside this file)."""
