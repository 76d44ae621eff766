"""Vision-language-action policies in torch: backbones, heads, and how they are joined."""
