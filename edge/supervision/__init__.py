"""A run whose engine failed goes on in a fresh process, while its motor process keeps the base standing."""
