"""Backbones: vision-language models of seven families behind one interface."""
