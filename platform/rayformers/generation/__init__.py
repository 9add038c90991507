"""Generation: the decoding loop, logits rules, stopping, caches, streamers."""
