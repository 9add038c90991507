"""Watermarks in generated text: configurations, logits rules, detectors."""
