"""Stripe: payments as conversions, by pull and by webhook (README.md beside this file)."""
