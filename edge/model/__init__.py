"""A bundle's graphs driven as one model: images and prompts to answers or actions."""
